import assert from "node:assert/strict";
import { compilePathPattern, decideRoute, isPathPattern, type Route } from "./routes.ts";

const route = (
  name: string,
  path: string,
  methods: string[],
  contentTypes = ["application/json"],
): Route => ({
  name,
  path: compilePathPattern(path),
  methods,
  contentTypes,
  access: { authorities: undefined, identities: () => true, roles: [] },
  networks: undefined,
  rates: [],
  concurrency: [],
  backup: undefined,
  priority: "backup",
  maxBodyBytes: 0,
  upstream: "u",
  deadlineMs: 1,
  repeatWithKey: false,
  affinity: undefined,
  maxAnswerBytes: 1,
});

const routes = [
  route("create", "/v1/batches", ["POST"]),
  route("read", "/v1/batches/{batch}", ["GET"], []),
  route("upload", "/v1/batches", ["POST"], ["application/cbor"]),
  route("rest", "/files/**", ["GET"], []),
];

function decide(method: string, path: string, contentType?: string): string {
  const decision = decideRoute(routes, { method, path, contentType, hasBody: contentType !== undefined });
  return decision.kind === "route"
    ? decision.route.name
    : `${decision.reason} ${decision.headers?.["allow"] ?? ""}`.trim();
}

Deno.test("decideRoute() decides on path, then method, then media type", () => {
  assert.equal(decide("POST", "/v1/batches", "application/json"), "create");
  assert.equal(decide("POST", "/v1/batches", "Application/JSON ; charset=utf-8"), "create");
  assert.equal(decide("POST", "/v1/batches", "application/cbor"), "upload");
  assert.equal(decide("POST", "/v1/batches", "text/plain"), "media-type");
  assert.equal(decide("POST", "/v1/batches", ""), "media-type");
  assert.equal(decide("DELETE", "/v1/batches"), "method-not-allowed POST");
  assert.equal(decide("GET", "/v1/batches/b-1"), "read");
  for (const path of ["/v1/batches/", "/v1/batches/a/b", "/v1", "/", "/V1/batches", "/files"]) {
    assert.equal(decide("GET", path).split(" ")[0], "route-unknown", path);
  }
  assert.equal(decide("GET", "/files/a/b"), "rest");
  assert.equal(decide("GET", "/files/"), "rest");
});

Deno.test("isPathPattern() takes literals, whole-segment names and an open end", () => {
  for (const good of ["/", "/a", "/a/{b}/c", "/a/**", "/openapi.json"]) assert.ok(isPathPattern(good), good);
  for (const bad of ["", "a", "/a//b", "/a/", "/a/**/b", "/a/{b", "/a/x{b}", "/../a", "/a?b", "/%61"]) {
    assert.ok(!isPathPattern(bad), bad);
  }
});
