/** Cards torn at every APDU in every way: the tear suite, as one of the tests. `rk test --only tear --json` prints its figures. */

import assert from "node:assert/strict";
import { suiteSeed } from "./machinery/seed.ts";
import { runTear } from "./suites/tear.ts";

Deno.test("every APDU of a recorded run torn in every way: attested after one retry, no serial lost or doubled", async () => {
  const { faults, points, kinds, attested, scrapped, ...more } = await runTear(suiteSeed());
  console.log(`tear: ${JSON.stringify({ points, kinds, attested, scrapped, ...more })}`);
  assert.deepEqual(faults, []);
  assert.equal(attested + scrapped, points * kinds);
  assert.ok(points > 50, "a recorded run has its APDUs");
});
