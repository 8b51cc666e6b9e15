import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { type BodyMessage, readBody } from "./body.ts";

class Message extends EventEmitter {
  complete = false;
  paused = false;
  resume(): void {}
  pause(): void {
    this.paused = true;
  }
}

const MAX = 5_000;

Deno.test("readBody() puts a body together from pieces of any size, up to its bound", async () => {
  for (
    const sizes of [[], [1], [1_023, 1, 1], [1_024], [1_025], [3_000, 2_000], Array(5_000).fill(1), [
      4_999,
      1,
    ]]
  ) {
    const all = Uint8Array.from({ length: MAX }, (_, i) => i % 251);
    const message = new Message();
    const read = readBody(message as BodyMessage, MAX);
    let at = 0;
    // The runtime may use its buffer again.
    for (const size of sizes) {
      const piece = all.slice(at, at += size);
      message.emit("data", piece);
      piece.fill(255);
    }
    message.complete = true;
    message.emit("end");
    assert.deepEqual(await read, { kind: "body", bytes: all.slice(0, at) });
  }
});

Deno.test("readBody() stops at the first byte that is too much, and at a client that leaves", async () => {
  for (const sizes of [[MAX + 1], [MAX, 1], [1_000, MAX], Array(MAX + 1).fill(1)]) {
    const message = new Message();
    const read = readBody(message as BodyMessage, MAX);
    for (const size of sizes) message.emit("data", new Uint8Array(size));
    assert.deepEqual(await read, { kind: "too-large" });
    assert.ok(message.paused);
    assert.equal(message.listenerCount("data"), 0);
  }
  for (const event of ["close", "aborted", "error", "end"]) {
    const message = new Message();
    const read = readBody(message as BodyMessage, MAX);
    message.emit("data", new Uint8Array(7));
    message.emit(event);
    assert.deepEqual(await read, { kind: "incomplete" });
  }
});
