import { deepEqual, equal, rejects } from "node:assert/strict";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import {
  abortUpgrade,
  parseUpgradeAnswer,
  recoverUpgrade,
  resumeUpgrade,
  startUpgrade,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { RECOVERY_KEY_PACKAGE_AID } from "./constants.ts";
import { storeWith } from "./testing/applet_bench.ts";
import {
  keptOf,
  loadInUpgrade,
  PACKAGES,
  statusOfUpgrade,
  upgradableState,
  upgradeHost,
  upgradeTo,
} from "./testing/upgrade_bench.ts";

Deno.test("a personalized card goes from 1.0 to 1.1 and keeps everything", async () => {
  const before = await upgradableState();
  const host = await upgradeHost(storeWith(before));
  await host.authorize();
  const channel = await host.domain();
  const started = await channel.send(startUpgrade(RECOVERY_KEY_PACKAGE_AID));
  equal(formatStatus(started.sw), "9000");
  deepEqual(parseUpgradeAnswer(started.data), {
    status: "waiting-for-elf",
    packageAid: RECOVERY_KEY_PACKAGE_AID,
  });
  equal(await loadInUpgrade(channel, PACKAGES.next), "9000");
  equal(await statusOfUpgrade(channel), "waiting-for-restore");
  const done = await channel.send(resumeUpgrade());
  equal(parseUpgradeAnswer(done.data).status, "completed");
  const after = host.store.load()!;
  // VERIFY PIN gave the tries back before the upgrade.
  const [kept] = keptOf(after) as { pinTriesLeft: number }[];
  deepEqual([{ ...kept, pinTriesLeft: 2 }], keptOf(before));
  deepEqual(after.instances[0]!.recoveryKey!.version, { major: 1, minor: 1 });
  deepEqual(after.upgrade!.saved, []);
});
