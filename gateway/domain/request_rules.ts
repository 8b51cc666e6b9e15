/**
 * One strict reading of a request, before anything decides on it. The runtime's parser lets duplicate Host,
 * Transfer-Encoding on HTTP/1.0, HTTP/0.9, absolute targets and look-alike names pass; a request that two
 * programs could read in two ways is refused here and the connection closed (RFC 9112, 11.2).
 */

import { type Refusal, refuse } from "./refusals.ts";

/** A request as the parser gave it. `rawHeaders` alternates names and values, in order, with duplicates. */
export interface RawRequest {
  readonly httpVersion: string;
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: readonly string[];
}

/** Bounds of the reading. */
export interface RequestBounds {
  /** Most header fields. The parser must keep at least one more, or it would hide the excess from us. */
  readonly maxHeaders: number;
  /** Longest target in characters. */
  readonly maxTargetLength: number;
}

/** A request with one reading. */
export interface StrictRequest {
  readonly kind: "request";
  readonly method: string;
  readonly path: string;
  /** With its `?`; empty when there is none. */
  readonly query: string;
  /** Names in lower case, in order, duplicates kept. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly hasBody: boolean;
  /** From Content-Length; undefined when the body is chunked. */
  readonly declaredLength: number | undefined;
}

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const BODILESS = new Set(["GET", "HEAD", "OPTIONS", "DELETE"]);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// deno-lint-ignore no-control-regex -- control characters are what is looked for (RFC 9110, 5.5)
const VALUE_CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;
const PATH = /^\/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/;
const QUERY = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*$/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;

/** Fields that mean something to us or upstream: twice is two meanings. */
const SINGLE = new Set([
  "authorization",
  "content-digest",
  "content-encoding",
  "content-type",
  "expect",
  "idempotency-key",
  "signature",
  "signature-input",
]);

/** Names that a lenient reader takes for one of these are refused: `Transfer_Encoding`, `Client_Cert`. */
const PROTECTED = new Set([
  ...SINGLE,
  "client-cert",
  "client-cert-chain",
  "connection",
  "content-length",
  "forwarded",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
  "x-request-id",
]);

/** Reads a request strictly. */
export function readStrictly(raw: RawRequest, bounds: RequestBounds): StrictRequest | Refusal {
  if (raw.httpVersion !== "1.1" && raw.httpVersion !== "1.0") return refuse("http-version");
  if (!METHODS.has(raw.method)) return refuse("method-unknown");
  if (raw.rawHeaders.length / 2 > bounds.maxHeaders) return refuse("headers-too-many");
  const target = readTarget(raw.target, bounds.maxTargetLength);
  if (target.kind === "refuse") return target;
  const headers = readHeaders(raw.rawHeaders);
  if ("kind" in headers) return headers;
  const framing = readFraming(raw, headers);
  if (framing.kind === "refuse") return framing;
  return {
    kind: "request",
    method: raw.method,
    path: target.path,
    query: target.query,
    headers,
    hasBody: framing.hasBody,
    declaredLength: framing.declaredLength,
  };
}

function readTarget(
  target: string,
  maxLength: number,
): { readonly kind: "target"; readonly path: string; readonly query: string } | Refusal {
  if (target.length > maxLength) return refuse("target-too-long");
  // Origin form only (RFC 9112, 3.2.1): a full URL could name another host than Host does.
  if (!target.startsWith("/")) return refuse("target-form");
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? "" : target.slice(mark);
  if (!PATH.test(path) || !QUERY.test(query)) return refuse("target-characters");
  if (!isCanonicalEncoding(path, true) || !isCanonicalEncoding(query, false)) {
    return refuse("target-encoding");
  }
  const segments = path.slice(1).split("/");
  if (segments.some((segment) => segment === "." || segment === "..")) return refuse("target-dot-segment");
  // An empty last segment is a trailing slash; elsewhere some programs join `//` and some do not.
  if (segments.slice(0, -1).includes("")) return refuse("target-empty-segment");
  return { kind: "target", path, query };
}

/**
 * Percent-encoding in its one normal form (RFC 3986, 6.2.2): never of a character that needs none, never of
 * a control character; in a path never of a slash or backslash.
 */
function isCanonicalEncoding(text: string, isPath: boolean): boolean {
  for (let at = text.indexOf("%"); at >= 0; at = text.indexOf("%", at + 1)) {
    const digits = text.slice(at + 1, at + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return false;
    const byte = parseInt(digits, 16);
    const character = String.fromCharCode(byte);
    if (byte < 0x20 || byte === 0x7f) return false;
    if (isPath && (UNRESERVED.test(character) || character === "/" || character === "\\")) return false;
  }
  return true;
}

function readHeaders(raw: readonly string[]): StrictRequest["headers"] | Refusal {
  const headers: [string, string][] = [];
  const seen = new Set<string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const value = raw[i + 1]!;
    if (!TOKEN.test(raw[i]!)) return refuse("header-name");
    const name = raw[i]!.toLowerCase();
    if (name.includes("_") && PROTECTED.has(name.replaceAll("_", "-"))) return refuse("header-lookalike");
    if (VALUE_CONTROL.test(value)) return refuse("header-value");
    if (seen.has(name) && SINGLE.has(name)) return refuse("header-duplicate");
    seen.add(name);
    headers.push([name, value]);
  }
  return headers;
}

function readFraming(
  raw: RawRequest,
  headers: StrictRequest["headers"],
): { readonly kind: "framing"; hasBody: boolean; declaredLength: number | undefined } | Refusal {
  const all = (name: string) => headers.filter(([other]) => other === name).map(([, value]) => value);
  const hosts = all("host");
  if (hosts.length === 0) return refuse("host-missing");
  if (hosts.length > 1) return refuse("host-duplicate");
  if (!HOST.test(hosts[0]!)) return refuse("host-malformed");
  const lengths = all("content-length");
  const codings = all("transfer-encoding");
  if (lengths.length > 0 && codings.length > 0) return refuse("framing-conflict");
  if (lengths.length > 1 || codings.length > 1) return refuse("framing-conflict");
  if (codings.length === 1) {
    if (raw.httpVersion === "1.0") return refuse("framing-http-1.0");
    if (codings[0]!.toLowerCase() !== "chunked") return refuse("framing-malformed");
  }
  if (lengths.length === 1 && !/^(?:0|[1-9][0-9]{0,15})$/.test(lengths[0]!)) {
    return refuse("framing-malformed");
  }
  const declaredLength = lengths.length === 1 ? Number(lengths[0]) : undefined;
  const hasBody = codings.length === 1 || (declaredLength ?? 0) > 0;
  if (hasBody && BODILESS.has(raw.method)) return refuse("body-unexpected");
  const expectation = all("expect")[0];
  if (expectation !== undefined && expectation.toLowerCase() !== "100-continue") {
    return refuse("expectation-unknown");
  }
  return {
    kind: "framing",
    hasBody,
    declaredLength: hasBody && codings.length === 1 ? undefined : declaredLength,
  };
}
