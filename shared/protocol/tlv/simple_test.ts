import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { loadVector } from "tests/vectors/load.ts";
import { encodeSimple, parseSimple, SIMPLE_VALUE_MAX } from "./simple.ts";

Deno.test("parseSimple() undoes encodeSimple()", () => {
  const element = fc.record({
    tag: fc.integer({ min: 0, max: 255 }),
    value: fc.uint8Array({ maxLength: SIMPLE_VALUE_MAX, size: "max" }),
  }, { noNullPrototype: true });
  fc.assert(fc.property(fc.array(element, { maxLength: 6 }), (elements) => {
    deepEqual(parseSimple(concat(...elements.map(({ tag, value }) => encodeSimple(tag, value)))), elements);
  }));
});

Deno.test("parseSimple() reads the recorded certificate", () => {
  const { secrets } = loadVector<{ secrets: { card_certificate: string } }>("card/a_personalization.json");
  const elements = parseSimple(fromHex(secrets.card_certificate));
  deepEqual(elements.map(({ tag }) => tag), [0x20, 0x32, 0x33, 0x15]);
  equal(toHex(elements[0]!.value), "DEADBEEF");
});

Deno.test("parseSimple() refuses what is cut off or too long", () => {
  throws(() => parseSimple(fromHex("01")), { code: "TLV_TRUNCATED" });
  throws(() => parseSimple(fromHex("0102AA")), { code: "TLV_TRUNCATED" });
  throws(() => parseSimple(concat(fromHex("01FF"), new Uint8Array(300))), { code: "TLV_LENGTH" });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
    try {
      parseSimple(bytes);
    } catch (error) {
      ok(["TLV_TRUNCATED", "TLV_LENGTH"].includes((error as { code: string }).code));
    }
  }));
});

Deno.test("encodeSimple() refuses values and tags out of range", () => {
  throws(() => encodeSimple(1, new Uint8Array(255)), { code: "TLV_LENGTH" });
  for (const tag of [-1, 256, 0.5]) throws(() => encodeSimple(tag, new Uint8Array(0)), { code: "TLV_TAG" });
});
