import assert from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex } from "shared/base/bytes.ts";
import { LIFE_CYCLE, type LifeCycle, TRANSIENT, type Transient } from "./constants.ts";
import { encodeStatus, parseStatus } from "./status.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const four = fc.uint8Array({ minLength: 4, maxLength: 4 });
const byte = fc.nat({ max: 255 });
const status = fc.record({
  targetId: four,
  serial: four,
  version: fc.record({ major: byte, minor: byte, patch: byte }, { noNullPrototype: true }),
  lifeCycle: fc.constantFrom<LifeCycle>(...Object.values(LIFE_CYCLE)),
  transient: fc.constantFrom<Transient>(...Object.values(TRANSIENT)),
  packageHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
}, {
  noNullPrototype: true,
  requiredKeys: ["targetId", "serial", "version", "lifeCycle", "transient"],
});
const GOOD = fromHex("0104334000040204DEADBEEF0303010000040102050101");

Deno.test("parseStatus() inverts encodeStatus(), with and without the literal 9000", () => {
  fc.assert(fc.property(status, (value) => {
    const bytes = encodeStatus(value);
    assert.deepEqual(parseStatus(bytes), value);
    assert.deepEqual(parseStatus(concat(bytes, fromHex("9000"))), value);
  }));
});

Deno.test("parseStatus() refuses other lengths, tags, orders and states", () => {
  for (let length = 0; length < GOOD.length; length++) {
    assert.throws(() => parseStatus(GOOD.slice(0, length)), code("RK_MALFORMED"));
  }
  const wrong = [
    "0104334000040204DEADBEEF030301000004010205010190", // one byte after it
    "0104334000040204DEADBEEF03030100000401020501016A88", // another literal
    "0204DEADBEEF0104334000040303010000040102050101", // order
    "0104334000040104DEADBEEF0303010000040102050101", // tag 01 twice
    "0104334000040204DEADBEEF0303010000040104050101", // life cycle 4
    "0104334000040204DEADBEEF0303010000040102050105", // transient state 5
    "0104334000040204DEADBEEF0304010000000401020501", // cut off inside 05
    "0103334000020504DEADBEEF000303010000040102050101".slice(0, 46), // other lengths
  ];
  const hashed = "0104334000040204DEADBEEF0303010000040102050101" + "0620" + "AB".repeat(32);
  assert.equal(parseStatus(fromHex(hashed)).packageHash!.length, 32);
  wrong.push(
    hashed.replace("0620", "0720"), // another tag than the hash's
    hashed.replace("0620", "061F"), // the hash shorter than its field
    hashed.slice(0, -2),
    hashed + "90",
    hashed + "6A88",
    hashed.slice(-68) + hashed.slice(0, -68), // the hash in front
  );
  for (const hex of wrong) assert.throws(() => parseStatus(fromHex(hex)), code("RK_MALFORMED"), hex);
});

Deno.test("encodeStatus() refuses fields of other lengths", () => {
  const good = parseStatus(GOOD);
  assert.throws(() => encodeStatus({ ...good, serial: new Uint8Array(3) }), code("RK_FIELD"));
  assert.throws(() => encodeStatus({ ...good, packageHash: new Uint8Array(20) }), code("RK_FIELD"));
  assert.throws(() => encodeStatus({ ...good, targetId: new Uint8Array(5) }), code("RK_FIELD"));
});
