import assert from "node:assert/strict";
import { Content } from "./content.ts";

Deno.test("Content is what its chunks are together, however many there are", () => {
  for (const sizes of [[], [5], [1, 1], [0, 3, 0, 4], Array(1_000).fill(1), [1, 999]]) {
    const all = Uint8Array.from({ length: 1_100 }, (_, i) => i % 251);
    const content = new Content(1_100);
    let at = 0;
    for (const size of sizes) content.add(all.subarray(at, at += size));
    assert.equal(content.length, at);
    assert.deepEqual(new Uint8Array(content.bytes), all.slice(0, at));
  }
});

Deno.test("Content of one chunk is that chunk: nothing is copied", () => {
  const chunk = Uint8Array.of(1, 2, 3);
  const content = new Content(10);
  content.add(chunk);
  assert.equal(content.bytes, chunk);
});
