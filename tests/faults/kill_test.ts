/** Processes killed at commits, a sample by the seed; `rk test --only kill` tries every point. */

import assert from "node:assert/strict";
import { suiteSeed } from "./machinery/seed.ts";
import { runKill } from "./suites/kill.ts";

Deno.test("services, database, gateways and station killed at commits: every card attested, no serial lost or doubled", async () => {
  const { faults, ...figures } = await runKill({ seed: suiteSeed(), oneOf: 6, pairs: 2 });
  console.log(`kill: ${JSON.stringify(figures)}`);
  assert.deepEqual(faults, []);
  assert.ok(figures.kills + figures.stationKills > 0, "something was killed");
});
