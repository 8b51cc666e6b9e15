import assert from "node:assert/strict";
import { compileOpenApi, OpenApiFault } from "../protocol/openapi.ts";
import { judgeBody, judgeHead } from "./description.ts";
import { readStrictly, type StrictRequest } from "./request_rules.ts";

const DOCUMENT = {
  openapi: "3.1.0",
  info: { title: "things", version: "1" },
  servers: [{ url: "https://things.example/v1" }],
  components: {
    schemas: { Name: { type: "string", pattern: "^[a-z]{1,8}$", "x-note": "lower case" } },
    parameters: { Page: { name: "page", in: "query", schema: { type: "integer", minimum: 1 } } },
  },
  paths: {
    "/things/{name}": {
      parameters: [{
        name: "name",
        in: "path",
        required: true,
        schema: { $ref: "#/components/schemas/Name" },
      }],
      get: {
        parameters: [
          { $ref: "#/components/parameters/Page" },
          {
            name: "tag",
            in: "query",
            schema: { type: "array", items: { $ref: "#/components/schemas/Name" }, maxItems: 2 },
          },
          { name: "all", in: "query", required: true, schema: { type: "boolean" } },
          { name: "If-Match", in: "header", schema: { type: "string", maxLength: 8 } },
        ],
      },
      put: {
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: {
                type: "object",
                properties: {
                  name: { $ref: "#/components/schemas/Name" },
                  inner: { type: ["object", "null"] },
                },
                required: ["name"],
                additionalProperties: false,
              },
            },
            "application/octet-stream": {},
          },
        },
      },
    },
    "/things/new": { get: {} },
  },
};
const api = compileOpenApi(DOCUMENT);

function request(
  method: string,
  target: string,
  headers: Record<string, string> = {},
  body = "",
): StrictRequest {
  const all = { host: "x", ...(body === "" ? {} : { "content-length": String(body.length) }), ...headers };
  const read = readStrictly({ httpVersion: "1.1", method, target, rawHeaders: Object.entries(all).flat() }, {
    maxHeaders: 20,
    maxTargetLength: 500,
  });
  assert.equal(read.kind, "request", JSON.stringify(read));
  return read as StrictRequest;
}

/** The reason, or `passes`; with the detail when there is one. */
function judge(method: string, target: string, headers: Record<string, string> = {}, body = ""): string {
  const strict = request(method, target, headers, body);
  const head = judgeHead(api, strict);
  if (head.kind === "refuse") return [head.reason, head.detail].filter(Boolean).join(" ");
  const refusal = judgeBody(
    { maxDepth: 4 },
    head.operation,
    strict,
    body === "" ? undefined : new TextEncoder().encode(body),
  );
  return refusal === undefined ? "passes" : [refusal.reason, refusal.detail].filter(Boolean).join(" ");
}
const put = (body: string, type = "application/json") =>
  judge("PUT", "/v1/things/a", { "content-type": type }, body);

Deno.test("judgeHead() path and method", () => {
  assert.equal(judge("GET", "/v1/things/abc?all=true"), "passes");
  assert.equal(judge("HEAD", "/v1/things/abc?all=true"), "passes");
  assert.equal(judge("GET", "/v1/things/new"), "passes", "the literal path comes before the template");
  assert.equal(judge("GET", "/things/abc?all=true"), "api-path", "without the server's prefix");
  assert.equal(judge("GET", "/v1/things"), "api-path");
  assert.equal(judge("GET", "/v1/things/"), "api-path");
  assert.equal(judge("GET", "/v1/things/a/b"), "api-path");
  assert.equal(judge("GET", "/"), "api-path");
  assert.equal(judge("DELETE", "/v1/things/abc"), "api-method");
  assert.equal(judge("GET", "/v1/things/ABC?all=true"), "api-path-parameter name: / pattern");
  assert.equal(judge("GET", "/v1/things/%C3%A9?all=true"), "api-path-parameter name: / pattern");
});

Deno.test("judgeHead() query and headers", () => {
  const get = (query: string, headers = {}) => judge("GET", `/v1/things/abc?${query}`, headers);
  assert.equal(get("all=false&page=2&tag=a&tag=b"), "passes");
  assert.equal(get("all=tr%75e"), "passes");
  assert.equal(get("page=2"), "api-query-missing all");
  assert.equal(get("all=1"), "api-query all: / type");
  assert.equal(get("all=true&page=0"), "api-query page: / minimum");
  for (const page of ["0x2", "+2", "2.", "1e1", "02", "", "9007199254740993"]) {
    assert.match(get(`all=true&page=${page}`), /^api-query page/, page);
  }
  assert.equal(get("all=true&page=1&page=2"), "api-query-duplicate page");
  assert.equal(get("all=true&tag=a&tag=b&tag=c"), "api-query tag: / maxItems");
  assert.equal(get("all=true&tag=A"), "api-query tag: /0 pattern");
  assert.equal(get("all=true&debug=1"), "api-query-unknown");
  assert.equal(get("all=true&__proto__=1"), "api-query-unknown");
  assert.equal(get("all=true&"), "api-query-unknown");
  assert.equal(get("all=true", { "if-match": "0123456789" }), "api-header if-match: / maxLength");
  assert.equal(get("all=true", { "if-match": "0", "x-other": "y" }), "passes");
});

Deno.test("judgeBody() type, coding, form and schema", () => {
  assert.equal(put('{"name":"a","inner":{"x":[1]}}'), "passes");
  assert.equal(put('{"name":"a"}', 'Application/JSON; charset="UTF-8"'), "passes");
  assert.equal(put("\0\xff", "application/octet-stream"), "passes");
  assert.equal(judge("PUT", "/v1/things/a"), "api-body-missing");
  assert.equal(judge("PUT", "/v1/things/a", {}, "{}"), "api-media-type");
  assert.equal(put("{}", "text/plain"), "api-media-type");
  assert.equal(put("{}", "application/json, text/plain"), "api-media-type");
  assert.equal(put("{}", "application/json; charset=utf-16"), "api-charset");
  assert.equal(put("{}", "application/json; charset=utf-8; charset=utf-16"), "api-media-type");
  assert.equal(
    judge("PUT", "/v1/things/a", { "content-type": "application/json", "content-encoding": "gzip" }, "x"),
    "api-content-encoding",
  );
  assert.equal(put("{}"), "api-schema / required name");
  assert.equal(put('{"name":"A"}'), "api-schema /name pattern");
  assert.equal(put('{"name":1}'), "api-schema /name type");
  assert.equal(put('{"name":"a","more\\n<b>":1}'), "api-schema / additionalProperties more??b?");
  assert.equal(put('{"name":"a","toString":1}'), "api-schema / additionalProperties toString");
  assert.equal(put('{"name":"a","name":"b"}'), "json-duplicate-key");
  assert.equal(put('{"name":"a","inner":{"__proto__":{}}}'), "json-prototype-key");
  assert.equal(put('{"name":"a","inner":{"a":{"a":{"a":{}}}}}'), "json-depth");
  assert.equal(put("{"), "json-syntax");
});

Deno.test("compileOpenApi() refuses what it could not judge, and says where", () => {
  const operation = (post: object) => ({ ...DOCUMENT, paths: { "/a": { post } } });
  const body = (content: object) => operation({ requestBody: { content } });
  const query = (more: object) => operation({ parameters: [{ name: "q", in: "query", ...more }] });
  const faulty: readonly (readonly [document: unknown, at: string])[] = [
    [null, ""],
    [{ ...DOCUMENT, openapi: "3.0.3" }, "/openapi"],
    [{ ...DOCUMENT, servers: [{ url: "https://{host}/" }] }, "/servers/0/url"],
    [{ ...DOCUMENT, paths: { "/a/{b}": { get: {} } } }, "/paths/~1a~1{b}/get"],
    [{ ...DOCUMENT, paths: { "/a.{b}": { get: {} } } }, "/paths/~1a.{b}/get"],
    [body({ "multipart/form-data": {} }), "/paths/~1a/post/requestBody/content/multipart~1form-data"],
    [body({ "*/*": {} }), "/paths/~1a/post/requestBody/content/*~1*"],
    [body({ "application/json": {} }), "/paths/~1a/post/requestBody/content/application~1json"],
    [
      body({ "application/json": { schema: { type: "strin" } } }),
      "/paths/~1a/post/requestBody/content/application~1json/schema",
    ],
    [
      body({ "application/json": { schema: { typ: "string" } } }),
      "/paths/~1a/post/requestBody/content/application~1json/schema",
    ],
    [
      body({ "application/json": { schema: { $ref: "http://other/x" } } }),
      "/paths/~1a/post/requestBody/content/application~1json/schema",
    ],
    [
      body({ "application/json": { schema: { type: "string", pattern: "(" } } }),
      "/paths/~1a/post/requestBody/content/application~1json/schema",
    ],
    [query({ schema: { type: "object" } }), "/paths/~1a/post/parameters/0"],
    [query({ schema: {}, style: "deepObject" }), "/paths/~1a/post/parameters/0"],
    [operation({ parameters: [{ $ref: "other.yaml#/x" }] }), "/paths/~1a/post/parameters/0"],
    [operation({ parameters: [{ name: "s", in: "cookie", schema: {} }] }), "/paths/~1a/post/parameters/0"],
  ];
  for (const [document, at] of faulty) {
    assert.throws(() => compileOpenApi(document), (error) => {
      assert.ok(error instanceof OpenApiFault, String(error));
      assert.equal(error.at, at, error.message);
      return true;
    });
  }
});
