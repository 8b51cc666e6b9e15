/** What is sent on: rebuilt from the strict reading, never copied. Pure: identifiers are passed in. */

import { fieldName } from "./field_names.ts";
import type { StrictRequest } from "./request_rules.ts";

/** Header fields: name, value, name, value; names in lower case. Lists cost a third of what objects with such names do. */
export type HeaderFields = readonly string[];

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
  const fields = [
    "host",
    facts.upstreamHost,
    "client-cert",
    clientCertificateField(facts.clientCertificate),
    "x-request-id",
    facts.requestId,
    "traceparent",
    facts.traceparent,
    "forwarded",
    `for=${address};proto=https`,
    "x-request-timeout-ms",
    String(facts.timeLeftMs),
  ];
  const { body } = facts;
  if (body !== undefined && body.length === undefined) fields.push("transfer-encoding", "chunked");
  else if (body !== undefined) fields.push("content-length", String(body.length));
  else if (!BODILESS.has(method)) fields.push("content-length", "0");
  let connection = "";
  for (const [name, value] of headers) if (name === "connection") connection += `,${value}`;
  const named = namedBy(connection);
  for (const [name, value] of headers) {
    if (fieldName(name).kind === undefined && !named.has(name)) fields.push(name, value);
  }
  return fields;
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
  const fields: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const { name, kind } = fieldName(rawHeaders[i]!);
    if (name === "server" || name === "x-powered-by") continue;
    if (kind !== undefined && kind !== "framing" || named.has(name) || Object.hasOwn(own, name)) continue;
    fields.push(name, rawHeaders[i + 1]!);
  }
  for (const name in own) fields.push(name, own[name]!);
  return fields;
}
