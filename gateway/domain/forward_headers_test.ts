import assert from "node:assert/strict";
import {
  downstreamHeaders,
  type ForwardFacts,
  type HeaderFields,
  upstreamHeaders,
} from "./forward_headers.ts";
import type { StrictRequest } from "./request_rules.ts";

const facts: ForwardFacts = {
  upstreamHost: "10.0.0.1:9000",
  clientCertificate: Uint8Array.of(1, 2, 3),
  requestId: "id",
  traceparent: "trace",
  clientAddress: "2001:db8::1",
  body: { length: 2 },
  timeLeftMs: 900,
};

const request = (method: string, ...headers: [string, string][]): StrictRequest => ({
  kind: "request",
  method,
  path: "/",
  query: "",
  headers: [["host", "gateway"], ...headers],
  hasBody: true,
  declaredLength: 2,
});

/** By name; a name that comes twice has all its values. */
function byName(fields: HeaderFields): Record<string, string | string[]> {
  const found = new Map<string, string[]>();
  for (let i = 0; i < fields.length; i += 2) {
    found.set(fields[i]!, [...found.get(fields[i]!) ?? [], fields[i + 1]!]);
  }
  return Object.fromEntries(
    [...found].map(([name, values]) => [name, values.length > 1 ? values : values[0]!]),
  );
}

const OWN = {
  "host": "10.0.0.1:9000",
  "client-cert": ":AQID:",
  "x-request-id": "id",
  "traceparent": "trace",
  "forwarded": 'for="[2001:db8::1]";proto=https',
  "content-length": "2",
  "x-request-timeout-ms": "900",
};

Deno.test("upstreamHeaders() says on its own authority what only a gateway may say", () => {
  const forged = [
    "client-cert",
    "client-cert-chain",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-x",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "via",
    "proxy",
    "x_client_cert",
    "x.forwarded_for",
    "x-ssl-client-cert",
    "ssl-client-verify",
    "cf-connecting-ip",
    "x-http-method-override",
    "x-original-url",
    "content-length",
    "host",
  ] as const;
  const fields = upstreamHeaders(
    request("POST", ...forged.map((name): [string, string] => [name, "forged"])),
    facts,
  );
  assert.deepEqual(byName(fields), OWN);
});

Deno.test("upstreamHeaders() drops the fields of the connection, also those that it names itself", () => {
  const fields = upstreamHeaders(
    request(
      "POST",
      ["connection", "close, X-Hop"],
      ["x-hop", "1"],
      ["te", "trailers"],
      ["transfer-encoding", "chunked"],
      ["upgrade", "x"],
      ["keep-alive", "1"],
      ["expect", "100-continue"],
      ["a", "1"],
      ["a", "2"],
      ["__proto__", "p"],
    ),
    facts,
  );
  const { ["__proto__"]: odd, ...rest } = byName(fields);
  assert.equal(odd, "p");
  assert.deepEqual(rest, { ...OWN, a: ["1", "2"] });
});

Deno.test("upstreamHeaders() frames a message without body as its method wants", () => {
  const bare = { ...facts, body: undefined };
  assert.equal(byName(upstreamHeaders(request("POST"), bare))["content-length"], "0");
  assert.equal(byName(upstreamHeaders(request("GET"), bare))["content-length"], undefined);
  const chunked = byName(upstreamHeaders(request("POST"), { ...facts, body: { length: undefined } }));
  assert.deepEqual([chunked["content-length"], chunked["transfer-encoding"]], [undefined, "chunked"]);
  assert.equal(
    byName(upstreamHeaders(request("GET"), { ...bare, clientAddress: "10.0.0.9" }))["forwarded"],
    "for=10.0.0.9;proto=https",
  );
});

Deno.test("downstreamHeaders() passes an answer on without what is nobody's business", () => {
  const raw = [
    "Content-Type",
    "a/b",
    "Content-Length",
    "3",
    "Set-Cookie",
    "a",
    "Set-Cookie",
    "b",
    "Server",
    "s",
    "X-Powered-By",
    "s",
    "Connection",
    "x-hop",
    "X-Hop",
    "1",
    "Transfer-Encoding",
    "chunked",
    "Client-Cert",
    "x",
    "RateLimit",
    "theirs",
  ];
  assert.deepEqual(byName(downstreamHeaders(raw, { "x-request-id": "id", "ratelimit": "ours" })), {
    "content-type": "a/b",
    "content-length": "3",
    "set-cookie": ["a", "b"],
    "x-request-id": "id",
    "ratelimit": "ours",
  });
});
