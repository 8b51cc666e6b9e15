/** The whole life of a backup at three providers, driven by the device's own code. */

import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { makeDevice, makeMaker } from "./device.ts";
import { backup, confirm, release, remove } from "./flows.ts";
import { type ProviderBackends, startProviders, testClock } from "./provider.ts";

for (const kind of ["PGlite and software HSM", "PostgreSQL and SoftHSM"] satisfies ProviderBackends[]) {
  Deno.test(`backup, restore on a new device, delete: over ${kind}`, async (t) => {
    const maker = makeMaker();
    const clock = testClock();
    await using running = await startProviders(maker, clock, kind);
    const { providers } = running;
    const entropy = SYSTEM_RANDOM(32);
    const old = makeDevice(maker, entropy);
    const backupId = toHex(SYSTEM_RANDOM(16));
    await t.step("backup", () => backup(maker, old, providers, backupId));
    for (const pair of [[0, 1], [2, 0]]) {
      await t.step(`restore from ${pair.map((i) => providers[i]!.name)}`, async () => {
        const device = makeDevice(maker);
        await confirm(maker, device, providers, backupId);
        await release(maker, device, pair.map((i) => providers[i]!), backupId, clock);
        assert.deepEqual(device.entropy(), entropy);
        clock.advance(3601); // where nothing was released, the lock to that device has to pass
      });
    }
    await t.step("delete", async () => {
      await remove(maker, old, providers, backupId);
      for (const { database } of providers) {
        assert.equal((await database.sql`SELECT count(*)::int AS rows FROM backups`)[0]!.rows, 0);
      }
    });
  });
}
