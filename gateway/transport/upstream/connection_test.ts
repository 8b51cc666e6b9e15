import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { AnswerHead } from "./answer_head.ts";
import { UpstreamConnection } from "./connection.ts";

/** As much of a socket as a connection asks of it. */
class StubSocket extends EventEmitter {
  destroyed = false;
  setNoDelay = () => this;
  write = () => true;
  pause = () => this;
  resume = () => this;
  destroy() {
    this.destroyed = true;
    return this;
  }
}

/** Brings an answer in pieces, each in the one buffer that the pieces before it were in; what the sink was given, read at the end. */
function answerOf(pieces: readonly string[]) {
  const connection = new UpstreamConnection(new StubSocket() as unknown as Socket, () => {});
  const parts: Uint8Array[] = [];
  const seen: { head?: AnswerHead; end: string } = { end: "open" };
  connection.begin("GET", "GET / HTTP/1.1\r\n\r\n", true, {
    head: (head) => seen.head = head,
    data: (bytes) => parts.push(bytes),
    end: () => seen.end = "whole",
    lost: (code) => seen.end = code,
  });
  const buffer = Buffer.alloc(1_024);
  for (const piece of pieces) {
    buffer.fill("#");
    const length = buffer.write(piece, "latin1");
    connection.take(buffer.subarray(0, length));
  }
  buffer.fill("#");
  return { ...seen, body: Buffer.concat(parts).toString("latin1") };
}

const HEAD = "HTTP/1.1 200 OK\r\n";

Deno.test("UpstreamConnection keeps what it was given, although the next bytes come in the same buffer", () => {
  const length = answerOf([`${HEAD}content-length: 9\r\n\r\nabc`, "def", "ghi"]);
  assert.deepEqual([length.end, length.body], ["whole", "abcdefghi"]);
  const chunks = answerOf([
    `${HEAD}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n`,
    "3\r\nd",
    "ef\r\n",
    "0\r\n\r\n",
  ]);
  assert.deepEqual([chunks.end, chunks.body], ["whole", "abcdef"]);
  const open = answerOf([`${HEAD}\r\nabc`, "def"]);
  assert.deepEqual([open.end, open.body], ["open", "abcdef"]);
});

Deno.test("UpstreamConnection reads a head that comes byte by byte", () => {
  const whole = `${HEAD}X-Name: value\r\nContent-Length: 3\r\n\r\nabc`;
  const { head, end, body } = answerOf([...whole]);
  assert.deepEqual([end, body], ["whole", "abc"]);
  assert.deepEqual(head?.rawHeaders, ["X-Name", "value", "Content-Length", "3"]);
});

Deno.test("UpstreamConnection takes nothing in a head that is no field, wherever its halves come", () => {
  for (const fault of ["a: b\nc: d", "a: b\rc: d", "a: \x00", "a: \x7f", "a b: c", "\x01: c"]) {
    const answer = `${HEAD}${fault}\r\ncontent-length: 0\r\n\r\n`;
    assert.equal(answerOf([answer]).end, "ANSWER_HEADER", JSON.stringify(fault));
    assert.equal(answerOf([...answer]).end, "ANSWER_HEADER", JSON.stringify(fault));
  }
});
