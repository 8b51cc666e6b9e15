import assert from "node:assert/strict";
import fc from "fast-check";
import { type RawRequest, readStrictly } from "./request_rules.ts";

const bounds = { maxHeaders: 10, maxTargetLength: 100 };
const plain: RawRequest = { httpVersion: "1.1", method: "GET", target: "/a/b", rawHeaders: ["Host", "x"] };

function reason(change: Partial<RawRequest>): string {
  const read = readStrictly({ ...plain, ...change }, bounds);
  return read.kind === "refuse" ? read.reason : "request";
}

const headers = (...more: string[]): Partial<RawRequest> => ({
  method: "POST",
  rawHeaders: ["Host", "x", ...more],
});

Deno.test("readStrictly() gives an honest request its one reading", () => {
  assert.deepEqual(
    readStrictly({
      httpVersion: "1.1",
      method: "POST",
      target: "/v1/a%20b?c=d&e=%2F",
      rawHeaders: ["HOST", "gw.example:8443", "Content-Length", "5", "X-A", "1", "x-a", "2"],
    }, bounds),
    {
      kind: "request",
      method: "POST",
      path: "/v1/a%20b",
      query: "?c=d&e=%2F",
      headers: [["host", "gw.example:8443"], ["content-length", "5"], ["x-a", "1"], ["x-a", "2"]],
      hasBody: true,
      declaredLength: 5,
    },
  );
  const chunked = readStrictly({ ...plain, ...headers("Transfer-Encoding", "Chunked") }, bounds);
  assert.ok(chunked.kind === "request" && chunked.hasBody && chunked.declaredLength === undefined);
  assert.equal(reason({ httpVersion: "1.0" }), "request");
  assert.equal(reason({ target: "/" }), "request");
  assert.equal(reason({ target: "/caf%C3%A9/" }), "request");
  assert.equal(reason(headers("Session_Id", "other names may have underscores")), "request");
  for (const host of ["localhost", "a.b:1", "127.0.0.1:443", "[::1]:8443"]) {
    assert.equal(reason({ rawHeaders: ["Host", host] }), "request", host);
  }
});

Deno.test("readStrictly() sends on encoded what clients send as it stands", () => {
  const of = (target: string) => {
    const request = readStrictly({ ...plain, target }, bounds);
    return request.kind === "request" ? request.path + request.query : request.reason;
  };
  assert.equal(of("/a|b[1]^?x={1}|`^[]"), "/a%7Cb%5B1%5D%5E?x=%7B1%7D%7C%60%5E[]");
  assert.equal(of("/a%7Cb?x=%7B1%7D"), "/a%7Cb?x=%7B1%7D");
  for (const target of ["/{1}", "/`", '/a"', "/a<", '/a?"', "/a?<", "/a?\\"]) {
    assert.equal(of(target), "target-characters", target);
  }
});

Deno.test("readStrictly() refuses each ambiguity for its own reason", () => {
  const cases: readonly (readonly [Partial<RawRequest>, string])[] = [
    [{ httpVersion: "0.9" }, "http-version"],
    [{ httpVersion: "2.0" }, "http-version"],
    [{ method: "PURGE" }, "method-unknown"],
    [{ method: "get" }, "method-unknown"],
    [{ target: "http://x/a" }, "target-form"],
    [{ target: "*" }, "target-form"],
    [{ target: "" }, "target-form"],
    [{ target: `/${"a".repeat(100)}` }, "target-too-long"],
    [{ target: "/a b" }, "target-characters"],
    [{ target: "/a#b" }, "target-characters"],
    [{ target: "/a\\b" }, "target-characters"],
    [{ target: "/a\u0000" }, "target-characters"],
    [{ target: "/a\u00e9" }, "target-characters"],
    [{ target: '/a?"' }, "target-characters"],
    [{ target: "/a%" }, "target-encoding"],
    [{ target: "/a%2" }, "target-encoding"],
    [{ target: "/a%zz" }, "target-encoding"],
    [{ target: "/a%2fb" }, "target-encoding"],
    [{ target: "/a%5Cb" }, "target-encoding"],
    [{ target: "/%2e%2e/b" }, "target-encoding"],
    [{ target: "/a%00" }, "target-encoding"],
    [{ target: "/a?%0d%0a" }, "target-encoding"],
    [{ target: "/%61" }, "target-encoding"],
    [{ target: "/a/./b" }, "target-dot-segment"],
    [{ target: "/a/.." }, "target-dot-segment"],
    [{ target: "//a" }, "target-empty-segment"],
    [{ target: "/a//b" }, "target-empty-segment"],
    [{ rawHeaders: [] }, "host-missing"],
    [{ rawHeaders: ["Host", "a", "host", "a"] }, "host-duplicate"],
    [{ rawHeaders: ["Host", ""] }, "host-malformed"],
    [{ rawHeaders: ["Host", "a b"] }, "host-malformed"],
    [{ rawHeaders: ["Host", "user@a"] }, "host-malformed"],
    [headers("Content-Length", "1", "Transfer-Encoding", "chunked"), "framing-conflict"],
    [headers("Content-Length", "1", "Content-Length", "1"), "framing-conflict"],
    [headers("Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"), "framing-conflict"],
    [headers("Transfer-Encoding", "gzip, chunked"), "framing-malformed"],
    [{ ...headers("Transfer-Encoding", "chunked"), httpVersion: "1.0" }, "framing-http-1.0"],
    [headers("Content-Length", "01"), "framing-malformed"],
    [headers("Content-Length", "-1"), "framing-malformed"],
    [headers("Content-Length", "1,1"), "framing-malformed"],
    [headers("Content-Length", ""), "framing-malformed"],
    [{ ...headers("Content-Length", "1"), method: "GET" }, "body-unexpected"],
    [{ ...headers("Transfer-Encoding", "chunked"), method: "DELETE" }, "body-unexpected"],
    [headers("A B", "x"), "header-name"],
    [headers("", "x"), "header-name"],
    [headers("Transfer_Encoding", "chunked"), "header-lookalike"],
    [headers("X_Forwarded-For", "x"), "header-lookalike"],
    [headers("A", "b\u0000"), "header-value"],
    [headers("A", "b\r\nHost: y"), "header-value"],
    [headers("Content-Type", "a/b", "content-type", "a/b"), "header-duplicate"],
    [headers("Authorization", "a", "Authorization", "b"), "header-duplicate"],
    [headers("Expect", "x"), "expectation-unknown"],
    [headers(...Array.from({ length: 10 }, (_, i) => [`h${i}`, ""]).flat()), "headers-too-many"],
  ];
  for (const [change, expected] of cases) assert.equal(reason(change), expected, JSON.stringify(change));
});

Deno.test("readStrictly() what it lets through is plain, whatever comes", () => {
  const target = fc.string({
    unit: fc.constantFrom("/", ".", "%", "2", "e", "f", "?", "a", "\\", "\u0000", ";"),
    maxLength: 12,
  });
  fc.assert(
    fc.property(target, fc.array(fc.tuple(fc.string(), fc.string())), (path, more) => {
      const read = readStrictly(
        { ...plain, target: `/${path}`, rawHeaders: ["Host", "x", ...more.flat()] },
        bounds,
      );
      if (read.kind === "refuse") return;
      assert.equal(
        new URL(read.path + read.query, "http://x").pathname,
        read.path,
        "a URL library reads the same path",
      );
      for (const [name, value] of read.headers) assert.doesNotMatch(`${name}: ${value}`, /[\r\n\0]/);
    }),
    { numRuns: 2_000 },
  );
});
