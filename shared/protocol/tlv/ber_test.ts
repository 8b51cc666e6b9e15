import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import {
  ELEMENTS_MAX,
  encodeBer,
  encodeBerLength,
  encodeBerTag,
  findBer,
  optionalBer,
  parseBer,
  requireBer,
} from "./ber.ts";

const CODES = ["TLV_TRUNCATED", "TLV_INDEFINITE", "TLV_LENGTH", "TLV_TAG", "TLV_TOO_MANY"];

/** Tags of one, two and three bytes. */
const TAG = fc.oneof(
  fc.integer({ min: 1, max: 0xff }).filter((tag) => (tag & 0x1f) !== 0x1f),
  fc.tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 0x7f }))
    .map(([group, low]) => ((group << 5) | 0x1f) * 256 + low),
  fc.tuple(
    fc.integer({ min: 0, max: 7 }),
    fc.integer({ min: 0x80, max: 0xff }),
    fc.integer({ min: 0, max: 0x7f }),
  )
    .map(([group, middle, low]) => (((group << 5) | 0x1f) * 256 + middle) * 256 + low),
);

Deno.test("parseBer() undoes encodeBer()", () => {
  const value = fc.oneof(
    fc.uint8Array({ maxLength: 140 }),
    fc.uint8Array({ minLength: 250, maxLength: 300, size: "max" }),
  );
  fc.assert(fc.property(fc.array(fc.tuple(TAG, value), { maxLength: 8 }), (elements) => {
    const parsed = parseBer(concat(...elements.map(([tag, v]) => encodeBer(tag, v))));
    deepEqual(parsed.map((element) => [element.tag, element.value]), elements);
  }));
});

Deno.test("parseBer() every truncation of an element is refused", () => {
  const whole = encodeBer(0x9f70, new Uint8Array(300));
  for (let length = 1; length < whole.length; length++) {
    throws(() => parseBer(whole.subarray(0, length)), { code: "TLV_TRUNCATED" }, String(length));
  }
});

Deno.test("parseBer() reads or refuses with a code, whatever the bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        const walk = (list: ReturnType<typeof parseBer>, depth: number): void => {
          for (const element of list) {
            if (element.constructed && depth < 8) walk(element.children(), depth + 1);
          }
        };
        walk(parseBer(bytes), 0);
      } catch (error) {
        ok(CODES.includes((error as { code: string }).code), String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("parseBer() refuses what cards must not send", () => {
  const wrong: [string, string][] = [
    ["0000", "TLV_TAG"],
    ["4F80010000", "TLV_INDEFINITE"],
    ["9F8181810100", "TLV_TAG"],
    ["4F8401000000", "TLV_LENGTH"],
    ["4FFF", "TLV_LENGTH"],
    ["4F83FFFFFF", "TLV_TRUNCATED"],
    ["9F", "TLV_TRUNCATED"],
    ["4F82", "TLV_TRUNCATED"],
    ["4F8201", "TLV_TRUNCATED"],
    ["4F0500", "TLV_TRUNCATED"],
  ];
  for (const [hex, code] of wrong) throws(() => parseBer(fromHex(hex)), { code }, hex);
  throws(() => parseBer(new Uint8Array(2 * ELEMENTS_MAX + 2).map((_, i) => i % 2 === 0 ? 1 : 0)), {
    code: "TLV_TOO_MANY",
  });
});

Deno.test("parseBer() lengths that are not shortest are read", () => {
  equal(toHex(parseBer(fromHex("4F820002AABB"))[0]!.value), "AABB");
});

Deno.test("children() reads what a constructed element holds", () => {
  const [fci] = parseBer(fromHex("6F098407A0000000620301"));
  equal(fci!.constructed, true);
  equal(toHex(requireBer(fci!.children(), 0x84).value), "A0000000620301");
  throws(() => parseBer(fromHex("6F0284FF"))[0]!.children(), { code: "TLV_LENGTH" });
});

Deno.test("encodeBerLength() uses the shortest form", () => {
  const forms: [number, string][] = [
    [0, "00"],
    [0x7f, "7F"],
    [0x80, "8180"],
    [0xff, "81FF"],
    [0x100, "820100"],
    [0xffff, "82FFFF"],
    [0x10000, "83010000"],
    [0xffffff, "83FFFFFF"],
  ];
  for (const [length, hex] of forms) equal(toHex(encodeBerLength(length)), hex);
  throws(() => encodeBerLength(0x1000000), { code: "TLV_LENGTH" });
});

Deno.test("encodeBerTag() refuses numbers that are no tag", () => {
  for (const tag of [0, -1, 1.5, 0x1f, 0x9f, 0x4f01, 0x9f81, 0x9f7001, 0x9f8181, 0x1000000, NaN]) {
    throws(() => encodeBerTag(tag), { code: "TLV_TAG" }, String(tag));
  }
});

Deno.test("requireBer() wants exactly one, optionalBer() at most one, findBer() takes the first", () => {
  const list = parseBer(fromHex("4F01AA4F01BB8400"));
  equal(findBer(list, 0x4f)!.value[0], 0xaa);
  equal(findBer(list, 0x50), undefined);
  equal(optionalBer(list, 0x50), undefined);
  throws(() => requireBer(list, 0x50), { code: "TLV_MISSING" });
  throws(() => requireBer(list, 0x4f), { code: "TLV_DUPLICATE" });
  throws(() => optionalBer(list, 0x4f), { code: "TLV_DUPLICATE" });
  equal(requireBer(list, 0x84).value.length, 0);
});
