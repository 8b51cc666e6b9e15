/**
 * What the name of a header field says, looked up once for each spelling: names are few, and asking four tables and three patterns
 * of each field of each request cost more than the decision on the request.
 */

/** `hop`: of one connection (RFC 9110, 7.6.1). `framing`: says where a message ends. `gateway`: only the gateway may set it. */
export type FieldKind = "hop" | "framing" | "gateway";

/** A name. */
export interface FieldName {
  /** In lower case. */
  readonly name: string;
  /** The grammar of RFC 9110, 5.1. */
  readonly isToken: boolean;
  /** What it is, or what a careless program takes it for: `x_client_cert`. Undefined: an ordinary field. */
  readonly kind: FieldKind | undefined;
  /** It means something to us or upstream: its value is ASCII, and Connection may not name it. */
  readonly isProtected: boolean;
  /** A lenient reader takes it for a protected one: `Transfer_Encoding`, `Client_Cert`. */
  readonly isLookalike: boolean;
  /** Twice is two meanings. */
  readonly isSingle: boolean;
}

const SINGLE: ReadonlySet<string> = new Set([
  "authorization",
  "content-digest",
  "content-encoding",
  "content-type",
  "expect",
  "idempotency-key",
  "signature",
  "signature-input",
]);

const PROTECTED: ReadonlySet<string> = new Set([
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

const KINDS: ReadonlyMap<string, FieldKind> = new Map([
  ...of("framing", "content-length"),
  ...of(
    "hop",
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
  ),
  // From outside these are lies or foreign trace contexts.
  ...of(
    "gateway",
    "baggage",
    "cf-connecting-ip",
    "client-cert",
    "client-cert-chain",
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
  ),
]);

function of(kind: FieldKind, ...names: string[]): [string, FieldKind][] {
  return names.map((name) => [name, kind]);
}

/** Families of names: clients, addresses, certificates, other hosts and paths as other proxies tell them. */
const GATEWAY_FAMILIES = new RegExp(
  [
    "^(?:x-)?(?:forward|front-end-|ssl-|tls-|envoy-|original-|override-|rewrite-|originating-|middleware-|appengine-|arr-|amzn-mtls-)",
    "^(?:cf|cdn|fly|fastly|wl)-",
    "client-?(?:cert|dn|ip|addr|s-dn|i-dn|verify)",
    "(?:remote|proxyuser|real)-?(?:addr|ip|user|host)",
    "-(?:host|path|url|uri|method)-?override$",
    "^x-(?:host|backend-host|url-scheme|gfe-.*)$",
  ].join("|"),
);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const ODD_ALL = /[^a-z0-9-]/g;

/** Spellings that are remembered, and the longest of them: who sends others all the time makes us forget, never remember more. */
const MAX_SPELLINGS = 1_000;
const MAX_LENGTH = 64;
const spellings = new Map<string, FieldName>();

/** What a name says. @param spelling As it was sent. */
export function fieldName(spelling: string): FieldName {
  const known = spellings.get(spelling);
  if (known !== undefined) return known;
  const made = look(spelling);
  if (spelling.length > MAX_LENGTH) return made;
  if (spellings.size >= MAX_SPELLINGS) spellings.clear();
  // Put together anew: the engine would keep the whole head of which the name is a part.
  spellings.set([...spelling].join(""), { ...made, name: [...made.name].join("") });
  return made;
}

function look(spelling: string): FieldName {
  const name = spelling.toLowerCase();
  const plain = name.replaceAll(ODD_ALL, "-");
  return {
    name,
    isToken: TOKEN.test(spelling),
    kind: KINDS.get(plain) ?? (GATEWAY_FAMILIES.test(plain) ? "gateway" : undefined),
    isProtected: PROTECTED.has(name),
    isLookalike: plain !== name && PROTECTED.has(plain),
    isSingle: SINGLE.has(name),
  };
}
