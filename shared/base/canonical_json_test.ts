import assert from "node:assert/strict";
import fc from "fast-check";
import { loadVector } from "tests/vectors/load.ts";
import { canonicalJson, type Json } from "./canonical_json.ts";

Deno.test("canonicalJson() writes every vector of the JCS repository", () => {
  const { count, data } = loadVector<
    { count: number; data: { name: string; input: string; output: string }[] }
  >("jcs-rfc8785.json");
  assert.equal(data.length, count);
  for (const { name, input, output } of data) {
    assert.equal(canonicalJson(JSON.parse(input) as Json), output, name);
    assert.equal(canonicalJson(JSON.parse(output) as Json), output, `${name}, again`);
  }
});

/** RFC 8785, appendix B: IEEE 754 bits and their text; null has none. */
const NUMBERS: readonly (readonly [bits: bigint, text: string | null])[] = [
  [0x0000000000000000n, "0"],
  [0x8000000000000000n, "0"],
  [0x0000000000000001n, "5e-324"],
  [0x8000000000000001n, "-5e-324"],
  [0x7fefffffffffffffn, "1.7976931348623157e+308"],
  [0xffefffffffffffffn, "-1.7976931348623157e+308"],
  [0x4340000000000000n, "9007199254740992"],
  [0xc340000000000000n, "-9007199254740992"],
  [0x4430000000000000n, "295147905179352830000"],
  [0x7fffffffffffffffn, null],
  [0x7ff0000000000000n, null],
  [0xfff0000000000000n, null],
  [0x44b52d02c7e14af5n, "9.999999999999997e+22"],
  [0x44b52d02c7e14af6n, "1e+23"],
  [0x44b52d02c7e14af7n, "1.0000000000000001e+23"],
  [0x444b1ae4d6e2ef4en, "999999999999999700000"],
  [0x444b1ae4d6e2ef4fn, "999999999999999900000"],
  [0x444b1ae4d6e2ef50n, "1e+21"],
  [0x3eb0c6f7a0b5ed8cn, "9.999999999999997e-7"],
  [0x3eb0c6f7a0b5ed8dn, "0.000001"],
  [0x41b3de4355555553n, "333333333.3333332"],
  [0x41b3de4355555554n, "333333333.33333325"],
  [0x41b3de4355555555n, "333333333.3333333"],
  [0x41b3de4355555556n, "333333333.3333334"],
  [0x41b3de4355555557n, "333333333.33333343"],
  [0xbecbf647612f3696n, "-0.0000033333333333333333"],
  [0x43143ff3c1cb0959n, "1424953923781206.2"],
];

Deno.test("canonicalJson() formats the numbers of RFC 8785, appendix B", () => {
  for (const [bits, text] of NUMBERS) {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, bits);
    const value = view.getFloat64(0);
    if (text === null) assert.throws(() => canonicalJson(value), { code: "CANONICAL_JSON" });
    else assert.equal(canonicalJson(value), text, bits.toString(16));
  }
});

Deno.test("canonicalJson() refuses what has no canonical text", () => {
  const without = [
    "\ud800",
    { "\udc00": 1 },
    [NaN],
    { a: undefined as unknown as Json },
    1n as unknown as Json,
  ];
  for (const value of without) assert.throws(() => canonicalJson(value), { code: "CANONICAL_JSON" });
});

Deno.test("canonicalJson() reads back as the same value, whatever the order of members", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const text = canonicalJson(value as Json);
    assert.equal(canonicalJson(JSON.parse(text) as Json), text);
  }));
});
