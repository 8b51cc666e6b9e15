import assert from "node:assert/strict";
import { replaceUnderLoad, upgradeUnderLoad } from "./change_under_load.ts";

/** The long run is `rk test --only change`. */
const LOAD = { requests: 2_000, clients: 15, changes: 2 };

Deno.test("rk gateway upgrade under load fails no request, on the one socket", async () => {
  const result = await upgradeUnderLoad(LOAD);
  assert.deepEqual([result.failed, result.faults], [0, {}]);
  assert.equal(result.moved, 0, "the address was never closed");
  assert.equal(result.changes, 2);
  assert.ok(result.answered >= LOAD.requests);
});

Deno.test("two gateways are replaced one after the other under load without a failed request", async () => {
  const result = await replaceUnderLoad(LOAD);
  assert.deepEqual([result.failed, result.faults], [0, {}]);
  assert.equal(result.changes, 2);
  assert.ok(result.answered >= LOAD.requests);
});
