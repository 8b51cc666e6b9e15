/** Recover's processes killed at commits, a sample by the seed; `rk test --only crash` tries every point. */

import assert from "node:assert/strict";
import { suiteSeed } from "./machinery/seed.ts";
import { runCrash } from "./suites/crash.ts";

/** Points of the sample: about a minute of work. */
const SAMPLE = 12;

Deno.test("nodes, vaults, orchestrators, gateways and databases killed at commits: complete or absent at all three, never half", async () => {
  const { faults, ...figures } = await runCrash({ seed: suiteSeed(), sample: SAMPLE });
  console.log(`crash: ${JSON.stringify(figures)}`);
  assert.deepEqual(faults, []);
  assert.equal(figures.points, SAMPLE);
  assert.equal(figures.complete + figures.absent, SAMPLE);
  assert.equal(figures.completeAfterRetry, SAMPLE);
});
