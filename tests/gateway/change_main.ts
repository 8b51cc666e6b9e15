/**
 * `rk test --only change`: 100,000 requests while a gateway is upgraded in place, and 100,000 while two are replaced one after
 * the other. `RK_REQUESTS` asks for another number. The last line is one JSON object.
 */

import { replaceUnderLoad, upgradeUnderLoad } from "./change_under_load.ts";

const requests = Number(Deno.env.get("RK_REQUESTS") ?? 100_000);
const load = { requests, clients: 30, changes: 6 };
const results = {
  upgrade: await upgradeUnderLoad(load),
  replacement: await replaceUnderLoad(load),
};
for (const [name, { requests, failed, changes, connections, moved, seconds }] of Object.entries(results)) {
  console.error(
    `${name}: ${requests} requests on ${connections} connections, ${changes} changes, ${failed} failed, ` +
      `${moved} connections went to the other gateway, ${Math.round(seconds)} s`,
  );
}
const all = Object.values(results);
const failed = all.reduce((sum, result) => sum + result.failed, 0);
console.log(JSON.stringify({
  passed: all.reduce((sum, { answered }) => sum + answered, 0),
  failed,
  faults: all.flatMap(({ faults }) => Object.entries(faults).map(([fault, count]) => `${fault}: ${count}`)),
  ...results,
}));
Deno.exit(failed === 0 ? 0 : 1);
