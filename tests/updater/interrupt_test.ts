/** A sample of the interrupt suite, as one of the tests. `rk test --only interrupt --json` runs it whole. */

import assert from "node:assert/strict";
import { suiteSeed } from "../faults/machinery/seed.ts";
import { runInterrupt } from "./suites/interrupt.ts";

/** Points of a build: five ways each. */
const SAMPLE = 12;

Deno.test("an update interrupted at any APDU in any way: the seed is there, and one retry ends at the new version", async () => {
  const { faults, points, kinds, ...more } = await runInterrupt(suiteSeed(), { sample: SAMPLE });
  console.log(`interrupt: ${JSON.stringify({ points, kinds, ...more })}`);
  assert.deepEqual(faults, []);
  assert.equal(points, SAMPLE);
  assert.deepEqual({ neither: more.neither, seedLost: more.seedLost }, { neither: 0, seedLost: 0 });
  assert.equal(more.oldVersion + more.newVersion, points * kinds);
  assert.equal(more.newAfterRetry, points * kinds);
});
