/** What is sent on: rebuilt from the strict reading, never copied. Pure: identifiers are passed in. */

import { fieldName } from "./field_names.ts";
import type { StrictRequest } from "./request_rules.ts";

/** Header fields: name, value, name, value; names in lower case. Lists cost a third of what objects with such names do. */
export type HeaderFields = readonly string[];

/** Fields that are put together: with room for all of them from the beginning, because a list that grows leaves its old places behind. */
class FieldList {
  readonly #fields: string[];
  #length = 0;

  /** @param most Fields that may be added. */
  constructor(most: number) {
    this.#fields = new Array<string>(2 * most);
  }

  add(name: string, value: string): void {
    this.#fields[this.#length++] = name;
    this.#fields[this.#length++] = value;
  }

  /** The fields; nothing may be added afterwards. */
  list(): HeaderFields {
    this.#fields.length = this.#length;
    return this.#fields;
  }
}

const NO_NAMES: ReadonlySet<string> = new Set();

/** Names that the Connection fields declare to be of this hop; `value` of all of them, joined by commas. */
function namedBy(value: string): ReadonlySet<string> {
  // The usual option names a field that is of this hop anyway.
  if (value === "" || value === ",keep-alive") return NO_NAMES;
  return new Set(value.split(",").map((name) => name.trim().toLowerCase()));
}

/** What the gateway says of a request on its own authority. */
export interface ForwardFacts {
  /** Host and port of the instance. */
  readonly upstreamHost: string;
  /** DER of the verified client certificate. */
  readonly clientCertificate: Uint8Array;
  /** Drawn for the upstream: the client knows another. */
  readonly requestId: string;
  /** A trace context of our own (W3C Trace Context). */
  readonly traceparent: string;
  readonly clientAddress: string;
  /** The body, undefined when there is none; a length of undefined is chunked. */
  readonly body: { readonly length: number | undefined } | undefined;
  /** Time until the gateway gives up, milliseconds: an upstream need not work longer than that. */
  readonly timeLeftMs: number;
}

const certificateFields = new WeakMap<Uint8Array, string>();

/** `:base64(DER):`, made once for the bytes of a connection. */
function clientCertificateField(der: Uint8Array): string {
  const known = certificateFields.get(der);
  if (known !== undefined) return known;
  const made = `:${der.toBase64()}:`;
  certificateFields.set(der, made);
  return made;
}

/** Methods whose requests have no length when they have no body. */
const BODILESS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "DELETE"]);

/** Headers of the request to the upstream. Client-Cert is `:base64(DER):` (RFC 9440). */
export function upstreamHeaders({ headers, method }: StrictRequest, facts: ForwardFacts): HeaderFields {
  const address = facts.clientAddress.includes(":") ? `"[${facts.clientAddress}]"` : facts.clientAddress;
  const fields = new FieldList(7 + headers.length);
  fields.add("host", facts.upstreamHost);
  fields.add("client-cert", clientCertificateField(facts.clientCertificate));
  fields.add("x-request-id", facts.requestId);
  fields.add("traceparent", facts.traceparent);
  fields.add("forwarded", `for=${address};proto=https`);
  fields.add("x-request-timeout-ms", String(facts.timeLeftMs));
  const { body } = facts;
  if (body !== undefined && body.length === undefined) fields.add("transfer-encoding", "chunked");
  else if (body !== undefined) fields.add("content-length", String(body.length));
  else if (!BODILESS.has(method)) fields.add("content-length", "0");
  let connection = "";
  for (const [name, value] of headers) if (name === "connection") connection += `,${value}`;
  const named = namedBy(connection);
  for (const [name, value] of headers) {
    if (fieldName(name).kind === undefined && !named.has(name)) fields.add(name, value);
  }
  return fields.list();
}

/**
 * Headers of the answer to the client: the upstream's own without those of its connection.
 * @param own What the gateway says; names in lower case. It stands instead of what the upstream says under the same name.
 */
export function downstreamHeaders(
  rawHeaders: readonly string[],
  own: Readonly<Record<string, string>>,
): HeaderFields {
  let connection = "";
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (fieldName(rawHeaders[i]!).name === "connection") connection += `,${rawHeaders[i + 1]}`;
  }
  const named = namedBy(connection);
  const said = Object.keys(own);
  const fields = new FieldList(rawHeaders.length / 2 + said.length);
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const { name, kind } = fieldName(rawHeaders[i]!);
    if (name === "server" || name === "x-powered-by") continue;
    if (kind !== undefined && kind !== "framing" || named.has(name) || Object.hasOwn(own, name)) continue;
    fields.add(name, rawHeaders[i + 1]!);
  }
  for (const name of said) fields.add(name, own[name]!);
  return fields.list();
}
