import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../base/bytes.ts";
import { encodeFrame, FRAME_MAX, FrameReader } from "./frames.ts";

Deno.test("FrameReader reads what encodeFrame() wrote, wherever the stream is cut", () => {
  fc.assert(fc.property(
    fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 8 }),
    fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 20 }),
    (messages, cuts) => {
      const stream = concat(...messages.map(encodeFrame));
      const reader = new FrameReader();
      const read: Uint8Array[] = [];
      for (let offset = 0, i = 0; offset < stream.length; i++) {
        const size = cuts[i % cuts.length]!;
        read.push(...reader.push(stream.subarray(offset, offset + size)));
        offset += size;
      }
      assert.deepEqual(read.map((message) => [...message]), messages.map((message) => [...message]));
    },
  ));
});

Deno.test("encodeFrame() takes up to 65,535 bytes", () => {
  assert.equal(encodeFrame(new Uint8Array(FRAME_MAX)).length, FRAME_MAX + 2);
  assert.throws(() => encodeFrame(new Uint8Array(FRAME_MAX + 1)), { code: "VPCD_FRAME" });
  const largest = new Uint8Array(FRAME_MAX).fill(7);
  assert.deepEqual(new FrameReader().push(encodeFrame(largest)), [largest]);
});
