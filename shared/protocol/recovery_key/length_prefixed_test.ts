import assert from "node:assert/strict";
import fc from "fast-check";
import { joinPrefixed, requireLength, splitPrefixed } from "./length_prefixed.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;

Deno.test("splitPrefixed() inverts joinPrefixed()", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 255 }), { maxLength: 5 }), (values) => {
    const joined = joinPrefixed(...values);
    assert.deepEqual(splitPrefixed(joined, values.map(({ length }) => length)), values);
    assert.deepEqual(splitPrefixed(joined, values.map(() => ({ min: 0, max: 255 }))), values);
  }));
});

Deno.test("splitPrefixed() refuses every truncation, every other length and bytes that follow", () => {
  const joined = joinPrefixed(Uint8Array.of(1, 2, 3, 4), Uint8Array.of(5));
  assert.equal(splitPrefixed(joined, [4, 1]).length, 2);
  for (let length = 0; length < joined.length; length++) {
    assert.throws(() => splitPrefixed(joined.slice(0, length), [4, 1]), code("RK_MALFORMED"), `${length}`);
  }
  for (
    const lengths of [[3, 1], [5, 1], [4, 2], [4], [4, 1, 0], [{ min: 5, max: 9 }, 1], [
      { min: 0, max: 3 },
      1,
    ]]
  ) {
    assert.throws(() => splitPrefixed(joined, lengths), code("RK_MALFORMED"));
  }
  assert.throws(() => splitPrefixed(Uint8Array.of(...joined, 0), [4, 1]), code("RK_MALFORMED"));
});

Deno.test("joinPrefixed() and requireLength() refuse what does not fit", () => {
  assert.throws(() => joinPrefixed(new Uint8Array(256)), code("RK_FIELD"));
  assert.throws(() => requireLength("serial", new Uint8Array(3), 4), code("RK_FIELD"));
});
