import assert from "node:assert/strict";
import fc from "fast-check";
import { fromStrictBase64 } from "./base64.ts";

Deno.test("fromStrictBase64() reads what toBase64() writes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    assert.deepEqual(fromStrictBase64(bytes.toBase64()), bytes);
  }));
});

Deno.test("fromStrictBase64() refuses every other text of the same bytes", () => {
  for (const text of ["TWE", "TWF=", "TW E=", "TWE=\n", " TWE=", "TWE==", "T", "-_-_", "TWE=TWE="]) {
    assert.equal(fromStrictBase64(text), undefined, JSON.stringify(text));
  }
  assert.deepEqual(fromStrictBase64("TWE="), Uint8Array.of(0x4d, 0x61));
});
