import assert from "node:assert/strict";
import fc from "fast-check";
import { ChunkDecoder, headEnd, parseRequestHead, parseResponseHead } from "./message.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("parseRequestHead() reads what is right", () => {
  const head = parseRequestHead("POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length:  5 \r\nConnection: close");
  assert.deepEqual(head, {
    method: "POST",
    target: "/a?b",
    version: "1.1",
    rawHeaders: ["Host", "x", "Content-Length", "5", "Connection", "close"],
    framing: 5,
    keepAlive: false,
    expect: undefined,
  });
  assert.equal(parseRequestHead("GET / HTTP/1.1")?.keepAlive, true);
  assert.equal(parseRequestHead("GET / HTTP/1.0")?.keepAlive, false);
  assert.equal(parseRequestHead("GET / HTTP/1.1\r\nTransfer-Encoding: Chunked")?.framing, "chunked");
});

for (
  const [name, fields] of Object.entries({
    "two lengths": "Content-Length: 1\r\nContent-Length: 1",
    "length and coding": "Content-Length: 1\r\nTransfer-Encoding: chunked",
    "a coding of another kind": "Transfer-Encoding: gzip, chunked",
    "a coding twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "a length with a sign": "Content-Length: +1",
    "a length in hexadecimal": "Content-Length: 0x1",
    "a length that no number holds": "Content-Length: 99999999999999999999",
    "a space before the colon": "Host : x",
    "a folded line": "A: b\r\n c",
    "a bare line feed": "A: b\nC: d",
    "a bare carriage return": "A: b\rC: d",
    "NUL": "A: b\0",
    "no colon": "A",
    "no name": ": b",
  })
) {
  Deno.test(`parseRequestHead() refuses ${name}`, () => {
    assert.equal(parseRequestHead(`GET / HTTP/1.1\r\n${fields}`), undefined);
    assert.equal(parseResponseHead(`HTTP/1.1 200 OK\r\n${fields}`, "GET"), undefined);
  });
}

Deno.test("parseResponseHead() knows which answers have no body, and which end with the connection", () => {
  const framing = (head: string, method = "GET") => parseResponseHead(head, method)?.framing;
  assert.equal(framing("HTTP/1.1 200 OK\r\nContent-Length: 5"), 5);
  assert.equal(framing("HTTP/1.1 200 OK\r\nContent-Length: 5", "HEAD"), 0);
  assert.equal(framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 5"), 0);
  assert.equal(framing("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked"), 0);
  assert.equal(framing("HTTP/1.1 200"), "close");
  assert.equal(parseResponseHead("HTTP/1.1 200", "GET")?.keepAlive, false);
  assert.equal(parseResponseHead("HTTP/2 200", "GET"), undefined);
  assert.equal(parseResponseHead("HTTP/1.1 099 x", "GET"), undefined);
});

Deno.test("ChunkDecoder gives the same body however the bytes are cut, and says where the message ends", () => {
  const part = fc.string({ unit: fc.constantFrom("a", "\r", "\n", "0"), minLength: 1, maxLength: 40 });
  fc.assert(fc.property(fc.array(part), fc.array(fc.integer({ min: 1, max: 20 })), (parts, cuts) => {
    const coded = bytes(
      parts.map((text) => `${text.length.toString(16)}\r\n${text}\r\n`).join("") + "0\r\n\r\nGET /",
    );
    const decoder = new ChunkDecoder();
    let body = "";
    let at = 0;
    for (const cut of [...cuts, coded.length]) {
      const piece = coded.subarray(at, at + cut);
      const taken = decoder.push(piece, (some) => body += new TextDecoder().decode(some));
      at += taken;
      if (decoder.done) break;
      assert.equal(taken, piece.length);
    }
    assert.equal(body, parts.join(""));
    assert.equal(new TextDecoder().decode(coded.subarray(at)), "GET /");
  }));
});

for (
  const coded of [
    "5;a=b\r\nhello",
    "5 \r\nhello",
    "5\nhello",
    "\r\n",
    "-1\r\n",
    "fffffffff\r\n",
    "1\r\nab\r\n",
    "0\r\nA: b",
  ]
) {
  Deno.test(`ChunkDecoder refuses ${JSON.stringify(coded)}`, () => {
    assert.equal(new ChunkDecoder().push(bytes(coded), () => {}), -1);
  });
}

Deno.test("headEnd() finds the first empty line only", () => {
  assert.equal(headEnd(bytes("a\r\n\r\nb\r\n\r\n"), 0), 1);
  assert.equal(headEnd(bytes("a\r\nb\r\n"), 0), -1);
  assert.equal(headEnd(bytes("a\n\n"), 0), -1);
});
