import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { headAndBody } from "./latin1.ts";

Deno.test("headAndBody() is Latin-1, whatever characters come, and the body behind it", () => {
  const text = fc.array(fc.integer({ min: 0, max: 255 })).map((codes) => String.fromCharCode(...codes));
  fc.assert(fc.property(text, fc.uint8Array(), (head, body) => {
    const expected = Buffer.concat([Buffer.from(head, "latin1"), body]);
    assert.deepEqual(headAndBody(head, body), expected);
  }));
});
