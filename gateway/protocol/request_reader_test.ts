import assert from "node:assert/strict";
import fc from "fast-check";
import { type RawHead, RequestReader } from "./request_reader.ts";

const BOUNDS = { maxHeadBytes: 2_000, maxLineBytes: 200 };
const bytesOf = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** Reads a text in pieces; a body is what the last Content-Length or `chunked` says. */
function read(text: string, cuts: readonly number[] = []) {
  const heads: RawHead[] = [];
  const reader = new RequestReader<"refused">(BOUNDS, (head) => {
    heads.push(head);
    if (head.target === "/refused") return { kind: "refuse", reason: "refused" };
    const field = (name: string) => {
      const at = head.rawHeaders.indexOf(name);
      return at < 0 ? undefined : head.rawHeaders[at + 1];
    };
    const chunked = field("Transfer-Encoding") !== undefined;
    return { kind: "take", body: chunked ? "chunked" : Number(field("Content-Length") ?? "0") };
  });
  let from = 0;
  let body = "";
  let good = 0;
  let isOver = false;
  for (const cut of [...cuts, text.length]) {
    const chunk = bytesOf(text.slice(from, cut));
    for (let at = 0; at < chunk.length && !isOver && reader.fault === undefined;) {
      const end = reader.inBody
        ? reader.readBody(chunk, at, (part) => body += String.fromCharCode(...part))
        : reader.readHead(chunk, at);
      at = end > 0 ? end : chunk.length;
      good = from + at;
      isOver = !reader.inBody && reader.isLast && reader.isBetween;
    }
    from = cut;
  }
  return { heads, body, fault: reader.fault, good, between: reader.isBetween };
}

const GET = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept:\t */* \t\r\n\r\n";
const LENGTH = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /";
const CHUNKS =
  "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\r\n\r\n0A\r\n0123456789\r\n0\r\n\r\n";

Deno.test("RequestReader reads messages one after the other, bodies of both kinds between them", () => {
  const { heads, body, fault, between } = read(GET + LENGTH + CHUNKS + GET);
  assert.equal(body, "GET /a\r\n0123456789", "the framing is taken away");
  assert.equal(fault, undefined);
  assert.ok(between);
  assert.deepEqual(heads.map(({ method, target }) => `${method} ${target}`), [
    "GET /a?b=c",
    "POST /b",
    "PUT /c",
    "GET /a?b=c",
  ]);
  assert.deepEqual(heads[0]?.rawHeaders, ["Host", "x", "Accept", "*/*"]);
});

Deno.test("RequestReader stops after the last message and says how many bytes belong to it", () => {
  const last = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: TE , Close\r\n\r\n";
  assert.deepEqual(read(last + GET).heads.length, 1);
  assert.equal(read(last + GET).good, last.length);
  const old = "GET /a HTTP/1.0\r\nHost: x\r\n\r\n";
  assert.equal(read(old + GET).good, old.length);
  assert.equal(read("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET).heads.length, 2);
});

Deno.test("RequestReader says of which message a fault is, and whether it is in a body", () => {
  const refused = "GET /refused HTTP/1.1\r\n\r\n";
  assert.deepEqual(read(GET + refused).fault, {
    reason: "refused",
    inBody: false,
    method: "GET",
    target: "/refused",
  });
  const broken = CHUNKS.replace("0A\r\n", "0A;x\r\n");
  const { fault, body } = read(GET + broken);
  assert.equal(fault?.inBody, true);
  assert.equal(fault?.target, "/c");
  assert.equal(body, "a\r\n", "what came before the fault");
  assert.deepEqual(read(`${GET}GET\n`).fault, { reason: "line-ending", inBody: false }, "not the one before");
  assert.equal(read(`GET /a HTTP/1.1\r\nA: ${"b".repeat(3_000)}`).fault?.reason, "headers-too-large");
  assert.equal(read(`GET /${"b".repeat(300)}`).fault?.reason, "target-too-long");
  assert.equal(read("GET /a\r\n").fault?.reason, "http-version", "without waiting for the rest");
});

Deno.test("RequestReader says the same however the bytes are cut", () => {
  const pieces = fc.constantFrom(
    GET,
    LENGTH,
    CHUNKS,
    "\r\n",
    "\n",
    "\r",
    " ",
    ":",
    "\t",
    "x",
    "0",
    "\0",
    "\xe9",
    ";",
    "GET /refused HTTP/1.1\r\n\r\n",
  );
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 6 }),
      fc.array(fc.nat(400), { maxLength: 8 }),
      (parts, cuts) => {
        const text = parts.join("");
        const whole = read(text);
        const places = [...new Set(cuts.filter((cut) => cut > 0 && cut < text.length))].sort((a, b) => a - b);
        const inPieces = read(text, places);
        assert.equal(inPieces.fault?.reason, whole.fault?.reason);
        assert.deepEqual(inPieces.heads, whole.heads);
        assert.equal(inPieces.body, whole.body);
        const byBytes = read(text, [...text].map((_, i) => i + 1).slice(0, -1));
        assert.equal(byBytes.fault?.reason, whole.fault?.reason);
        assert.deepEqual(byBytes.heads, whole.heads);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("RequestReader drops trailers, keeps Latin-1 in values and skips one empty line, wherever the bytes are cut", () => {
  const trailers = CHUNKS.replace(/\r\n$/, "X-Sum: caf\xe9\r\nx:\r\n\r\n");
  const odd = "\r\nGET /d HTTP/1.1\r\nHost: x\r\nUser-Agent: M\xc3\xb6z \xff\r\n\r\n";
  const text = trailers + odd + GET;
  for (let cut = 1; cut < text.length; cut++) {
    const { heads, body, fault, between } = read(text, [cut, Math.min(cut + 1, text.length)]);
    assert.equal(fault, undefined, `cut at ${cut}`);
    assert.ok(between);
    assert.equal(body, "a\r\n0123456789");
    assert.deepEqual(heads.map(({ target }) => target), ["/c", "/d", "/a?b=c"]);
    assert.deepEqual(heads[1]?.rawHeaders, ["Host", "x", "User-Agent", "M\xc3\xb6z \xff"]);
    assert.deepEqual(heads[2]?.rawHeaders, ["Host", "x", "Accept", "*/*"]);
  }
  assert.equal(read(`\r\n\r\n${GET}`).fault?.reason, "leading-line");
  assert.equal(read(`${GET}\r\n\r\n${GET}`).fault?.reason, "leading-line");
  assert.equal(read(trailers.replace("X-Sum", "Content-Length")).fault?.reason, "trailers");
});
