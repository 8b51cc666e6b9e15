import assert from "node:assert/strict";
import fc from "fast-check";
import { type JsonFault, readStrictJson } from "./strict_json.ts";

const read = (text: string) => readStrictJson(new TextEncoder().encode(text), 4);

const FAULTY: readonly (readonly [text: string, fault: JsonFault])[] = [
  ["", "json-syntax"],
  ["\ufeff{}", "json-syntax"],
  ["{'a':1}", "json-syntax"],
  ['{"a":1,}', "json-syntax"],
  ['{"a":1} {}', "json-syntax"],
  ["NaN", "json-syntax"],
  ["01", "json-syntax"],
  ['{"a":1/**/}', "json-syntax"],
  ['{"a":1,"a":1}', "json-duplicate-key"],
  ['{"a":1,"\\u0061":2}', "json-duplicate-key"],
  ['{"b":[{"a":{},"c":2,"a":3}]}', "json-duplicate-key"],
  ["[[[[[1]]]]]", "json-depth"],
  ['{"a":{"a":{"a":{"a":{}}}}}', "json-depth"],
  ['{"__proto__":1}', "json-prototype-key"],
  ['{"\\u005f_proto__":{}}', "json-prototype-key"],
  ['{"constructor":{"prototype":{}}}', "json-prototype-key"],
  ["9007199254740993", "json-number"],
  ["[1e400]", "json-number"],
  ["-1e16", "json-number"],
  ["0.00000000000000000000000000000000000000001", "json-number"],
  ['"\\ud800"', "json-string"],
  ['{"\\udc00":1}', "json-string"],
];

Deno.test("readStrictJson() refuses what programs read in different ways", () => {
  for (const [text, fault] of FAULTY) assert.deepEqual(read(text), { kind: "fault", fault }, text);
  assert.deepEqual(readStrictJson(new Uint8Array([0x22, 0xff, 0x22]), 4), {
    kind: "fault",
    fault: "json-encoding",
  });
});

Deno.test("readStrictJson() reads honest JSON as the runtime does", () => {
  const honest = [
    '{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}',
    '["a","a",",","{","\\"","\\\\"]',
    "9007199254740991",
    "-0",
    "1.5e3",
    '"\\ud83d\\ude00"',
    '{"constructor":"x","prototype":1,"":0}',
    " [ ] ",
    "null",
    '{"a":"b\\\\","c":"{\\"a\\":1,\\"a\\":2}"}',
  ];
  for (const text of honest) assert.deepEqual(read(text), { kind: "json", value: JSON.parse(text) }, text);
  fc.assert(fc.property(fc.json({ maxDepth: 3, noUnicodeString: false }), (text) => {
    const reading = readStrictJson(new TextEncoder().encode(text), 8);
    if (reading.kind === "json") assert.deepEqual(reading.value, JSON.parse(text));
    else {assert.ok(
        ["json-number", "json-prototype-key", "json-string"].includes(reading.fault),
        `${reading.fault}: ${text}`,
      );}
  }));
});

Deno.test("readStrictJson() is not brought down by depth", () => {
  assert.deepEqual(read("[".repeat(100_000) + "]".repeat(100_000)), { kind: "fault", fault: "json-depth" });
});
