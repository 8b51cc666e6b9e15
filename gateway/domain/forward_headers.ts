/** What is sent on: rebuilt from the strict reading, never copied. Pure: identifiers are passed in. */

import { type StrictRequest } from "./request_rules.ts";

/** Header fields by name; a field that came twice stays twice. */
export type HeaderFields = Record<string, string | string[]>;

/** Fields that belong to one connection (RFC 9110, 7.6.1), and those that frame a message. */
const HOP_BY_HOP = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Fields that only the gateway may set: from outside they are lies or foreign trace contexts. */
const GATEWAY_ONLY = new Set([
  "baggage",
  "client-cert",
  "client-cert-chain",
  "cf-connecting-ip",
  "early-data",
  "fastly-client-ip",
  "forwarded",
  "proxy", // as an environment variable, HTTP_PROXY (CVE-2016-5385)
  "traceparent",
  "tracestate",
  "true-client-ip",
  "via",
  "x-arr-clientcert",
  "x-client-cert",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-envoy-external-address",
  // Another method or path than the one that was decided on.
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-method",
  "x-original-uri",
  "x-original-url",
  "x-real-ip",
  "x-rewrite-url",
  "x-request-id",
  "x-request-timeout-ms",
]);

/** Families of names: addresses and certificates as other proxies tell them. */
const GATEWAY_FAMILIES = /^(?:x-forwarded-|(?:x-)?ssl-|x-tls-)/;
const ODD = /[^a-z0-9-]/;
const ODD_ALL = /[^a-z0-9-]/g;

/** Whether a name is one of these, or a careless program takes it for one: `x_client_cert`. */
function isGatewayOnly(name: string): boolean {
  const plain = ODD.test(name) ? name.replaceAll(ODD_ALL, "-") : name;
  return GATEWAY_ONLY.has(plain) || GATEWAY_FAMILIES.test(plain);
}

const NO_NAMES: ReadonlySet<string> = new Set();

/** Names that a Connection field declares to be of this hop. */
function namedByConnection(headers: StrictRequest["headers"]): ReadonlySet<string> {
  if (!headers.some(([name]) => name === "connection")) return NO_NAMES;
  const connection = headers.filter(([name]) => name === "connection").map(([, value]) => value).join(",");
  return new Set(connection.split(",").map((name) => name.trim().toLowerCase()));
}

function add(fields: HeaderFields, name: string, value: string): void {
  const before = fields[name];
  fields[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
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

/** Headers of the request to the upstream. Client-Cert is `:base64(DER):` (RFC 9440). */
export function upstreamHeaders(request: StrictRequest, facts: ForwardFacts): HeaderFields {
  // Without a prototype: a header called `__proto__` is just a header.
  const fields: HeaderFields = Object.create(null);
  const named = namedByConnection(request.headers);
  for (const [name, value] of request.headers) {
    if (HOP_BY_HOP.has(name) || named.has(name) || isGatewayOnly(name)) continue;
    add(fields, name, value);
  }
  fields["host"] = facts.upstreamHost;
  fields["client-cert"] = clientCertificateField(facts.clientCertificate);
  fields["x-request-id"] = facts.requestId;
  fields["traceparent"] = facts.traceparent;
  const address = facts.clientAddress.includes(":") ? `"[${facts.clientAddress}]"` : facts.clientAddress;
  fields["forwarded"] = `for=${address};proto=https`;
  fields["x-request-timeout-ms"] = String(facts.timeLeftMs);
  if (facts.body !== undefined && facts.body.length === undefined) fields["transfer-encoding"] = "chunked";
  else if (facts.body !== undefined) fields["content-length"] = String(facts.body.length);
  else if (!["GET", "HEAD", "OPTIONS", "DELETE"].includes(request.method)) fields["content-length"] = "0";
  return fields;
}

/** Headers of the answer to the client: the upstream's own without those of its connection. */
export function downstreamHeaders(
  rawHeaders: readonly string[],
  own: Readonly<Record<string, string>>,
): HeaderFields {
  const headers: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    headers.push([rawHeaders[i]!.toLowerCase(), rawHeaders[i + 1]!]);
  }
  const named = namedByConnection(headers);
  const fields: HeaderFields = Object.create(null);
  for (const [name, value] of headers) {
    if (name !== "content-length" && HOP_BY_HOP.has(name) || named.has(name)) continue;
    if (name === "server" || name === "x-powered-by" || isGatewayOnly(name)) continue;
    add(fields, name, value);
  }
  for (const name in own) fields[name.toLowerCase()] = own[name]!;
  return fields;
}
