import assert from "node:assert/strict";
import { readAnswerHead } from "./answer_head.ts";

const head = (text: string, method = "GET") => readAnswerHead(text.replaceAll("\n", "\r\n"), method);
const framing = (text: string, method?: string) => {
  const read = head(text, method);
  return typeof read === "string" ? read : read.framing;
};

Deno.test("readAnswerHead() finds where a body ends, by RFC 9112, 6.3", () => {
  assert.deepEqual(framing("HTTP/1.1 200 OK\nContent-Length: 5"), { kind: "length", length: 5 });
  assert.deepEqual(framing("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5"), {
    kind: "length",
    length: 5,
  });
  assert.deepEqual(framing("HTTP/1.1 200\nTransfer-Encoding: Chunked"), { kind: "chunked" });
  assert.deepEqual(framing("HTTP/1.1 200 "), { kind: "until-close" });
  for (const status of [100, 204, 304]) assert.deepEqual(framing(`HTTP/1.1 ${status} x`), { kind: "none" });
  assert.deepEqual(framing("HTTP/1.1 200 OK\nContent-Length: 5", "HEAD"), { kind: "none" });
  assert.equal(framing("HTTP/1.1 204 x\nContent-Length: x"), "ANSWER_FRAMING", "also where there is no body");
  assert.equal(framing("HTTP/1.0 200 OK\nTransfer-Encoding: chunked"), "ANSWER_FRAMING");
});

Deno.test("readAnswerHead() keeps a connection only when that is certain", () => {
  const keeps = (text: string) => (head(text) as { keepAlive: boolean }).keepAlive;
  assert.ok(keeps("HTTP/1.1 200 OK\nContent-Length: 0"));
  assert.ok(!keeps("HTTP/1.0 200 OK\nContent-Length: 0\nConnection: keep-alive"));
  assert.ok(!keeps("HTTP/1.1 200 OK\nContent-Length: 0\nConnection: x, Close"));
  assert.ok(!keeps("HTTP/1.1 200 OK"));
});

Deno.test("readAnswerHead() keeps names and values as they were sent", () => {
  const read = head("HTTP/1.1 200 OK\nX-A:  b c \t\nx-a: \nX-Umlaut: \xe4\nContent-Length: 0");
  assert.ok(typeof read !== "string");
  assert.deepEqual(read.rawHeaders, ["X-A", "b c", "x-a", "", "X-Umlaut", "\xe4", "Content-Length", "0"]);
});

Deno.test("readAnswerHead() says a length once, as a number is written, and none of an answer that has no content", () => {
  const fields = (text: string, method = "GET") => {
    const head = readAnswerHead(text, method);
    assert.ok(typeof head !== "string", text);
    return head.rawHeaders;
  };
  const twice = "HTTP/1.1 200 OK\r\nContent-Length: 010\r\nA: b\r\ncontent-length: 010";
  assert.deepEqual(fields(twice), ["Content-Length", "10", "A", "b"]);
  assert.deepEqual(fields("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nA: b"), ["A", "b"]);
  assert.deepEqual(fields("HTTP/1.1 304 Not Modified\r\nContent-Length: 7"), ["Content-Length", "7"]);
  assert.deepEqual(fields("HTTP/1.1 200 OK\r\nContent-Length: 7", "HEAD"), ["Content-Length", "7"]);
});
