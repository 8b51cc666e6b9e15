/**
 * What a head has to be, beyond its syntax (protocol/request_reader.ts), before anything decides on it. A request that two
 * programs could read in two ways is refused here and the connection closed (RFC 9112, 11.2).
 */

import { fieldName } from "./field_names.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** A request as it was read. `rawHeaders` alternates names and values, in order, with duplicates. */
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
// deno-lint-ignore no-control-regex -- control characters are what is looked for (RFC 9110, 5.5)
const VALUE_CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
// The underscore stands in no public name, but in names of container networks.
// A last dot is the root's.
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;
const PATH = /^\/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/;
// Square brackets are not in RFC 3986's query, but browsers, Deno and curl send `list[]=1` as it stands; nobody reads it in two ways.
const QUERY = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/?[\]]*$/;
/**
 * What clients send as it stands (WHATWG URL, 1.3) although RFC 3986 wants it encoded; it is sent on encoded, so that it has one form.
 * `[` and `]` of a query stay: services know them as they are.
 */
const LENIENT_PATH = /[|^[\]]/g;
const LENIENT_QUERY = /[|^`{}]/g;
/** `.` and `..`, also with the parameters of a segment, which Java servers take off before they resolve it. */
const DOT_SEGMENT = /\/\.\.?(?:[/;]|$)/;
/** What old clients encode without need and nobody reads in two ways: `~`, `-`, `_` (RFC 3986, 6.2.2.2). */
const NEEDLESS = /%(?:7e|2d|5f)/gi;
const ABSOLUTE = /^https:\/\/([^/]+)(\/.*)$/i;
const NOT_ASCII = /[^\x20-\x7e\t]/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;

/** What Connection may name although it is protected (RFC 9110, 7.6.1). */
const CONNECTION_OPTIONS = new Set(["close", "keep-alive", "te", "trailer", "upgrade", "proxy-connection"]);

/** Reads a request strictly. */
export function readStrictly(raw: RawRequest, bounds: RequestBounds): StrictRequest | Refusal {
  if (raw.httpVersion !== "1.1" && raw.httpVersion !== "1.0") return refuse("http-version");
  if (!METHODS.has(raw.method)) return refuse("method-unknown");
  if (raw.rawHeaders.length / 2 > bounds.maxHeaders) return refuse("headers-too-many");
  const target = readTarget(raw, bounds.maxTargetLength);
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

/** The path and query of a full URL, when it names the same authority as Host (RFC 9112, 3.2.2); else the target as it stands. */
function originForm({ target, rawHeaders }: RawRequest): string {
  const [, authority, rest] = ABSOLUTE.exec(target) ?? [];
  if (authority === undefined || rest === undefined) return target;
  const hosts = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === "host");
  return hosts.length === 1 && hosts[0]!.toLowerCase() === authority.toLowerCase() ? rest : target;
}

function readTarget(
  raw: RawRequest,
  maxLength: number,
): { readonly kind: "target"; readonly path: string; readonly query: string } | Refusal {
  if (raw.target.length > maxLength) return refuse("target-too-long");
  // A full URL that names another host than Host does would have two readings.
  const target = raw.target.startsWith("/") ? raw.target : originForm(raw);
  if (!target.startsWith("/")) return refuse("target-form");
  const mark = target.indexOf("?");
  let path = (mark < 0 ? target : target.slice(0, mark)).replace(NEEDLESS, decodeURIComponent);
  let query = mark < 0 ? "" : target.slice(mark);
  if (!PATH.test(path)) path = path.replace(LENIENT_PATH, percentEncoded);
  if (!QUERY.test(query)) query = query.replace(LENIENT_QUERY, percentEncoded);
  if (!PATH.test(path) || !QUERY.test(query)) return refuse("target-characters");
  if (!isCanonicalEncoding(path, true) || !isCanonicalEncoding(query, false)) {
    return refuse("target-encoding");
  }
  if (DOT_SEGMENT.test(path)) return refuse("target-dot-segment");
  // An empty last segment is a trailing slash; elsewhere some programs join `//` and some do not.
  if (path.includes("//")) return refuse("target-empty-segment");
  return { kind: "target", path, query };
}

/** A character of ASCII. */
function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
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
    if (!isPath) continue;
    if (UNRESERVED.test(character) || character === "/" || character === "\\") return false;
    // `%252e`: a program that decodes twice would read a dot.
    if (character === "%" && /^[0-9A-Fa-f]{2}$/.test(text.slice(at + 3, at + 5))) return false;
  }
  return !text.includes("%") || isUtf8(text);
}

/** Whether the decoded bytes are text: an overlong slash (`%c0%af`) is none. */
function isUtf8(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function readHeaders(raw: readonly string[]): StrictRequest["headers"] | Refusal {
  const headers: [string, string][] = [];
  let seen: Set<string> | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const value = raw[i + 1]!;
    const { name, isToken, isLookalike, isProtected, isSingle } = fieldName(raw[i]!);
    if (!isToken) return refuse("header-name");
    if (isLookalike) return refuse("header-lookalike");
    if (VALUE_CONTROL.test(value)) return refuse("header-value");
    // Text of people may be in any script; what something is decided on is ASCII.
    if (isProtected && NOT_ASCII.test(value)) return refuse("header-value");
    if (isSingle) {
      if (seen?.has(name)) return refuse("header-duplicate");
      (seen ??= new Set()).add(name);
    }
    headers.push([name, value]);
  }
  return headers;
}

/** What the fields say about where a message ends and what becomes of its connection. */
function readFraming(
  raw: RawRequest,
  headers: StrictRequest["headers"],
): { readonly kind: "framing"; hasBody: boolean; declaredLength: number | undefined } | Refusal {
  const host: string[] = [];
  const lengths: string[] = [];
  const codings: string[] = [];
  const connection: string[] = [];
  let upgrade = false;
  let expect: string | undefined;
  for (const [name, value] of headers) {
    switch (name) {
      case "host":
        host.push(value);
        break;
      case "content-length":
        lengths.push(value);
        break;
      case "transfer-encoding":
        codings.push(value);
        break;
      case "connection":
        connection.push(value);
        break;
      case "upgrade":
        upgrade = true;
        break;
      case "expect": // comes once at most
        expect = value;
    }
  }
  // HTTP/1.0 did not know it (RFC 9112, 3.2); nothing is decided on it.
  if (host.length === 0 && raw.httpVersion !== "1.0") return refuse("host-missing");
  if (host.length > 1) return refuse("host-duplicate");
  if (host.length === 1 && !HOST.test(host[0]!)) return refuse("host-malformed");
  if (lengths.length + codings.length > 1) return refuse("framing-conflict");
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
  // There is no protocol that a connection could change to; an upstream must not be asked either.
  if (upgrade) return refuse("upgrade");
  // Else a client could have a field removed on which a decision was made.
  for (const value of connection) {
    for (const option of value.toLowerCase().split(",")) {
      const name = option.trim();
      if (fieldName(name).isProtected && !CONNECTION_OPTIONS.has(name)) return refuse("connection-option");
    }
  }
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") {
    return refuse("expectation-unknown");
  }
  return {
    kind: "framing",
    hasBody,
    declaredLength: hasBody && codings.length === 1 ? undefined : declaredLength,
  };
}
