import assert from "node:assert/strict";
import {
  completeCardOptions,
  isPublishedTestKeySet,
  parseCardOptions,
  PUBLISHED_TEST_KEYS,
} from "./options.ts";

Deno.test("completeCardOptions() makes a blank card with the published test keys by default", () => {
  const options = completeCardOptions({});
  assert.equal(isPublishedTestKeySet(options.isdKeys), true);
  assert.equal(options.isdKeys.version[0], 0x30);
  assert.deepEqual(options.preloaded, {});
});

Deno.test("completeCardOptions() refuses bad options and repeats no value", () => {
  const key = "AB".repeat(15);
  const cases: unknown[] = [
    { isdKeys: { ...PUBLISHED_TEST_KEYS, enc: key } },
    { isdKeys: { ...PUBLISHED_TEST_KEYS, enc: "AB".repeat(32) } },
    { cplc: "00" },
    { unknown: 1 },
    { dapKey: { key: { point: "04" + "AB".repeat(63) } } },
    { dapKey: { key: { modulus: "AB".repeat(100) } } },
    { dapKey: { key: { point: "04" + "AB".repeat(64), modulus: "AB".repeat(256) } } },
    { memoryBytes: -1 },
    { preloaded: { package: { sha256: "AB".repeat(31) } } },
    { preloaded: { upgradeDomain: {} } },
    { preloaded: { upgradeDomain: { keys: { ...PUBLISHED_TEST_KEYS, enc: key } } } },
    { preloaded: { instance: {} } },
    { preloaded: { package: {}, instance: { domain: "ssd" } } },
    null,
  ];
  for (const options of cases) {
    assert.throws(() => completeCardOptions(options), (error: Error & { code: string }) => {
      assert.equal(error.code, "VCARD_OPTIONS");
      assert.ok(!error.message.includes("ABAB"), error.message);
      return true;
    });
  }
});

Deno.test("parseCardOptions() does not quote what is not JSON", () => {
  assert.throws(() => parseCardOptions('{"isdKeys": DEADBEEF'), (error: Error) => {
    assert.ok(!error.message.includes("DEADBEEF"));
    return true;
  });
});
