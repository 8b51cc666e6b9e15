import assert from "node:assert/strict";
import { FAULT_KINDS, faultAt, parseFault } from "./fault_plan.ts";

Deno.test("parseFault() reads every kind", () => {
  for (const kind of FAULT_KINDS) assert.deepEqual(parseFault(`${kind}:12`), { kind, index: 12 });
});

Deno.test("parseFault() refuses anything else", () => {
  for (const text of ["", "before", "before:", "before:-1", "before:1:2", "sometimes:3", "before:x"]) {
    assert.throws(() => parseFault(text), { code: "VCARD_FAULT_PLAN" }, text);
  }
});

Deno.test("faultAt() is the fault of that index only", () => {
  const plan = [parseFault("before:2"), parseFault("after-answer:5")];
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6].map((index) => faultAt(plan, index)), [
    undefined,
    undefined,
    "before",
    undefined,
    undefined,
    "after-answer",
    undefined,
  ]);
});
