import assert from "node:assert/strict";
import fc from "fast-check";
import { type Baseline, NEW_BASELINE, observeWindow, type OutboundRule } from "./outbound.ts";

const RULE: OutboundRule = {
  windowSeconds: 10,
  factor: 4,
  floorBytes: 1_000,
  ceilingBytes: 1_000_000,
  learnWindows: 5,
};

function after(windows: readonly number[], from: Baseline = NEW_BASELINE): Baseline {
  return windows.reduce((baseline, bytes) => observeWindow(RULE, baseline, bytes).baseline, from);
}

Deno.test("observeWindow() learns first, and only the ceiling counts meanwhile", () => {
  assert.equal(observeWindow(RULE, NEW_BASELINE, 900_000).change, undefined);
  assert.equal(observeWindow(RULE, NEW_BASELINE, 1_000_001).change, "raised");
});

Deno.test("observeWindow() raises the alarm above the factor, once, and clears it", () => {
  const learned = after([1_000, 1_000, 1_000, 1_000, 1_000]);
  assert.equal(learned.meanBytes, 1_000);
  assert.equal(observeWindow(RULE, learned, 4_000).change, undefined);
  const raised = observeWindow(RULE, learned, 4_001);
  assert.deepEqual([raised.change, raised.allowedBytes], ["raised", 4_000]);
  assert.equal(observeWindow(RULE, raised.baseline, 50_000).change, undefined, "raised already");
  assert.equal(observeWindow(RULE, raised.baseline, 1_000).change, "cleared");
});

Deno.test("observeWindow() never learns from a window that raised the alarm", () => {
  const learned = after([1_000, 1_000, 1_000, 1_000, 1_000]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 4_001, max: 10_000_000 }), { maxLength: 50 }), (windows) => {
      const later = after(windows, learned);
      assert.equal(later.meanBytes, learned.meanBytes);
      assert.equal(later.alarmed, windows.length > 0);
    }),
  );
});

Deno.test("observeWindow() below the floor there is no alarm, however quiet it was", () => {
  const quiet = after(Array.from({ length: 100 }, () => 0));
  assert.equal(observeWindow(RULE, quiet, 1_000).change, undefined);
  assert.equal(observeWindow(RULE, quiet, 1_001).change, "raised");
});
