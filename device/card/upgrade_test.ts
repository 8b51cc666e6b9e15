import { deepEqual, equal } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generateKeyPairSync, sign } from "node:crypto";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { installForInstall, installForLoad, installForPersonalization } from "shared/protocol/gp/install.ts";
import { loadBlocks } from "shared/protocol/gp/load.ts";
import {
  abortUpgrade,
  parseUpgradeAnswer,
  recoverUpgrade,
  resumeUpgrade,
  startUpgrade,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { publicKeyComponents } from "shared/protocol/gp/public_key.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { setStatusCommand } from "shared/protocol/gp/set_status.ts";
import { getStatusCommand } from "shared/protocol/recovery_key/commands.ts";
import { parseStatus } from "shared/protocol/recovery_key/status.ts";
import type { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { DAP_PRIVILEGES, ISD_AID, RECOVERY_KEY_MODULE_AID, RECOVERY_KEY_PACKAGE_AID } from "./constants.ts";
import type { CardState } from "./state.ts";
import { memoryStore } from "./store.ts";
import { storeWith } from "./testing/applet_bench.ts";
import {
  keptOf,
  loadInUpgrade,
  packageOf,
  PACKAGES,
  statusOfUpgrade,
  upgradableState,
  UPGRADE_KEYS_HEX,
  type UpgradeHost,
  upgradeHost,
} from "./testing/upgrade_bench.ts";
import { VirtualCard } from "./virtual_card.ts";

const PACKAGE = RECOVERY_KEY_PACKAGE_AID;
const sw = async (channel: SecureChannel, command: ReturnType<typeof resumeUpgrade>) =>
  formatStatus((await channel.send(command)).sw);

/** A card on a reader whose session waits for a package. */
async function waiting(state: CardState): Promise<{ host: UpgradeHost; channel: SecureChannel }> {
  const host = await upgradeHost(storeWith(state));
  if (state.instances[0]!.recoveryKey!.lifeCycle === 3) await host.authorize();
  const channel = await host.domain();
  equal(await sw(channel, startUpgrade(PACKAGE)), "9000");
  return { host, channel };
}

Deno.test("a personalized card goes from 1.0 to 1.1 and keeps everything", async () => {
  const before = await upgradableState();
  const host = await upgradeHost(storeWith(before));
  await host.authorize();
  const channel = await host.domain();
  const started = await channel.send(startUpgrade(PACKAGE));
  equal(formatStatus(started.sw), "9000");
  deepEqual(parseUpgradeAnswer(started.data), { status: "waiting-for-elf", packageAid: PACKAGE });
  equal(await loadInUpgrade(channel, PACKAGES.next), "9000");
  equal(await statusOfUpgrade(channel), "waiting-for-restore");
  const done = await channel.send(resumeUpgrade());
  equal(parseUpgradeAnswer(done.data).status, "completed");
  const after = host.store.load()!;
  deepEqual(keptOf(after), keptOf(before));
  deepEqual(after.instances[0]!.recoveryKey!.version, { major: 1, minor: 1 });
  deepEqual(after.upgrade!.saved, [], "no second copy of the seed stays");
  // The wallet goes on with the same card, PIN and all; the completed session stays to be asked for.
  await host.authorize();
  equal(await statusOfUpgrade(await host.domain()), "completed");
});

Deno.test("an applet that was never personalized needs no PIN, in every life cycle", async () => {
  for (const life of ["0", "1", "2"] as const) {
    const before = await upgradableState(life);
    const { host, channel } = await waiting(before);
    equal(await loadInUpgrade(channel, PACKAGES.next), "9000");
    equal(await sw(channel, resumeUpgrade()), "9000");
    deepEqual(keptOf(host.store.load()!), keptOf(before));
  }
});

Deno.test("applet 1.1 claims the hash of its package, 1.0 does not", async () => {
  const read = async (host: UpgradeHost) => {
    await host.transmit(selectCommand(RECOVERY_KEY_MODULE_AID));
    return parseStatus((await host.transmit(getStatusCommand())).data);
  };
  const { host, channel } = await waiting(await upgradableState("2"));
  await loadInUpgrade(channel, PACKAGES.next);
  await channel.send(resumeUpgrade());
  const { version, packageHash, serial } = await read(host);
  deepEqual(version, { major: 1, minor: 1, patch: 0 });
  equal(toHex(packageHash!), toHex(sha256(PACKAGES.next)));
  equal(toHex(serial), "00C0FFEE");
  const old = await read(await upgradeHost(storeWith(await upgradableState("2"))));
  equal(old.packageHash, undefined);
});

Deno.test("a card made with options upgrades too, and a package of known hash comes back", async () => {
  const keys = { version: "40", enc: UPGRADE_KEYS_HEX, mac: UPGRADE_KEYS_HEX, dek: UPGRADE_KEYS_HEX };
  const sha = toHex(sha256(PACKAGES.old));
  for (const known of [true, false]) {
    const store = memoryStore();
    const card = await VirtualCard.open({
      store,
      preloaded: {
        package: known ? { version: "1.0", sha256: sha } : {},
        instance: {},
        upgradeDomain: { keys },
      },
    });
    card.close();
    const { channel } = await waiting(store.load()!);
    equal(await sw(channel, recoverUpgrade()), "9000");
    equal(await loadInUpgrade(channel, PACKAGES.old), known ? "9000" : "6985");
    if (!known) equal(await loadInUpgrade(channel, PACKAGES.next), "9000");
    equal(parseUpgradeAnswer((await channel.send(resumeUpgrade())).data).status, "completed");
  }
});

Deno.test("without a PIN a personalized card refuses at saving, and one grant opens one session", async () => {
  const before = await upgradableState();
  const host = await upgradeHost(storeWith(before));
  let channel = await host.domain();
  equal(await sw(channel, startUpgrade(PACKAGE)), "6982");
  equal(await statusOfUpgrade(channel), "none");
  // SELECT of the applet drops the grant, and so does a loss of power.
  await host.authorize();
  await host.transmit(selectCommand(RECOVERY_KEY_MODULE_AID));
  equal(await sw(await host.domain(), startUpgrade(PACKAGE)), "6982");
  await host.authorize();
  host.card.powerOff();
  host.card.powerOn();
  equal(await sw(await host.domain(), startUpgrade(PACKAGE)), "6982");
  deepEqual(keptOf(host.store.load()!), keptOf(before));
  // Used by an upgrade, it is gone.
  await host.authorize();
  channel = await host.domain();
  equal(await sw(channel, startUpgrade(PACKAGE)), "9000");
  equal(await loadInUpgrade(channel, PACKAGES.next), "9000");
  equal(await sw(channel, resumeUpgrade()), "9000");
  equal(await sw(channel, startUpgrade(PACKAGE)), "6982");
  equal(await statusOfUpgrade(channel), "completed");
});

Deno.test("a torn LOAD begins again at block 0, on the same session and after a loss of power", async () => {
  const { host, channel } = await waiting(await upgradableState("2"));
  const announce = installForLoad({ packageAid: PACKAGE, hash: sha256(PACKAGES.next) });
  const blocks = loadBlocks(PACKAGES.next, 200);
  equal(await sw(channel, announce), "9000");
  equal(await sw(channel, blocks[0]!), "9000");
  equal(await statusOfUpgrade(channel), "waiting-for-elf");
  equal(await sw(channel, blocks[1]!), "6985", "any other command ends the load");
  equal(await sw(channel, announce), "9000");
  equal(await sw(channel, blocks[0]!), "9000");
  host.card.powerOff();
  host.card.powerOn();
  const again = await host.domain();
  equal(await sw(again, blocks[1]!), "6985");
  equal(await statusOfUpgrade(again), "waiting-for-elf");
  equal(await loadInUpgrade(again, PACKAGES.next), "9000");
});

Deno.test("only a higher version comes in; the old package comes back after recovery, and nothing else that is old", async () => {
  const older = packageOf({ major: 0, minor: 9 });
  const sameVersion = packageOf({ major: 1, minor: 0 }, 501);
  const { host, channel } = await waiting(await upgradableState("2"));
  for (const refused of [PACKAGES.old, older, sameVersion]) {
    equal(await loadInUpgrade(channel, refused), "6985");
    equal(await statusOfUpgrade(channel), "waiting-for-elf");
  }
  equal(await sw(channel, recoverUpgrade()), "9000");
  for (const refused of [older, sameVersion]) equal(await loadInUpgrade(channel, refused), "6985");
  equal(await loadInUpgrade(channel, PACKAGES.old), "9000");
  equal(await sw(channel, resumeUpgrade()), "9000");
  deepEqual(host.store.load()!.instances[0]!.recoveryKey!.version, { major: 1, minor: 0 });
  // The permission ended with the session.
  equal(await sw(channel, startUpgrade(PACKAGE)), "9000");
  equal(await loadInUpgrade(channel, PACKAGES.old), "6985");
});

Deno.test("a package that refuses the saved data leaves restore-failed, and recovery brings the old one back", async () => {
  const before = await upgradableState();
  const { host, channel } = await waiting(before);
  equal(await loadInUpgrade(channel, PACKAGES.broken), "9000");
  for (let attempt = 0; attempt < 2; attempt++) {
    const failed = await channel.send(resumeUpgrade());
    equal(parseUpgradeAnswer(failed.data).status, "restore-failed");
    equal(host.store.load()!.upgrade!.saved.length, 1, "the data stay saved");
  }
  equal(await sw(channel, abortUpgrade()), "6985");
  equal(await sw(channel, recoverUpgrade()), "9000");
  equal(await loadInUpgrade(channel, PACKAGES.old), "9000");
  equal(parseUpgradeAnswer((await channel.send(resumeUpgrade())).data).status, "completed");
  deepEqual(keptOf(host.store.load()!), keptOf(before));
  deepEqual(host.store.load()!.instances[0]!.recoveryKey!.version, { major: 1, minor: 0 });
});

Deno.test("a card goes to another major version, and after a broken build to a good one", async () => {
  const before = await upgradableState("2");
  const { host, channel } = await waiting(before);
  equal(await loadInUpgrade(channel, PACKAGES.broken), "9000");
  equal(parseUpgradeAnswer((await channel.send(resumeUpgrade())).data).status, "restore-failed");
  equal(await sw(channel, recoverUpgrade()), "9000");
  equal(await loadInUpgrade(channel, packageOf({ major: 2, minor: 0 })), "9000");
  equal(parseUpgradeAnswer((await channel.send(resumeUpgrade())).data).status, "completed");
  deepEqual(keptOf(host.store.load()!), keptOf(before));
  deepEqual(host.store.load()!.instances[0]!.recoveryKey!.version, { major: 2, minor: 0 });
});

Deno.test("a package without the applet fails at install, and a good one may follow", async () => {
  const library =
    readCap(writeTestCap({ version: { major: 1, minor: 2 }, appletAids: [] })).loadFileDataBlock;
  const before = await upgradableState("2");
  const { host, channel } = await waiting(before);
  equal(await loadInUpgrade(channel, library), "9000");
  equal(parseUpgradeAnswer((await channel.send(resumeUpgrade())).data).status, "restore-failed");
  equal(await sw(channel, recoverUpgrade()), "9000");
  equal(await loadInUpgrade(channel, PACKAGES.next), "9000");
  equal(parseUpgradeAnswer((await channel.send(resumeUpgrade())).data).status, "completed");
  deepEqual(keptOf(host.store.load()!), keptOf(before));
});

Deno.test("a full card is left as it was, or can go on", async () => {
  const size = PACKAGES.old.length;
  // No room for the saved data: nothing begins.
  const before = await upgradableState("2", (state) => ({ ...state, memoryBytes: size + 2047 }));
  const tight = await upgradeHost(storeWith(before));
  const channel = await tight.domain();
  equal(await sw(channel, startUpgrade(PACKAGE)), "6A84");
  equal(await statusOfUpgrade(channel), "none");
  deepEqual(keptOf(tight.store.load()!), keptOf(before));
  // Room for the old package only: the new one is refused at its last block, or at the one that no longer fits.
  const narrow = await waiting(
    await upgradableState("2", (state) => ({ ...state, memoryBytes: size + 2048 + 40 })),
  );
  for (const bytes of [560, 3000]) {
    equal(await loadInUpgrade(narrow.channel, packageOf({ major: 1, minor: 1 }, bytes)), "6A84");
  }
  equal(await statusOfUpgrade(narrow.channel), "waiting-for-elf");
  equal(await sw(narrow.channel, recoverUpgrade()), "9000");
  equal(await loadInUpgrade(narrow.channel, PACKAGES.old), "9000");
  equal(await sw(narrow.channel, resumeUpgrade()), "9000");
  deepEqual(keptOf(narrow.host.store.load()!), keptOf(before));
});

Deno.test("mandated DAP holds in an upgrade: no package without the release key's signature, the old one included", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { x, y } = publicKey.export({ format: "jwk" });
  const point = concat(
    Uint8Array.of(4),
    new Uint8Array(Buffer.from(x!, "base64url")),
    new Uint8Array(Buffer.from(y!, "base64url")),
  );
  const signed = (content: Uint8Array) => [{
    securityDomainAid: ISD_AID,
    signature: new Uint8Array(
      sign("sha256", sha256(content), { key: privateKey, dsaEncoding: "ieee-p1363" }),
    ),
  }];
  const before = await upgradableState("2", (state) => ({
    ...state,
    domains: state.domains.map((domain, i) =>
      i > 0 ? domain : {
        ...domain,
        privileges: domain.privileges.map((byte, at) => byte | DAP_PRIVILEGES[at]!),
        otherKeys: [{ version: 0x73, id: 1, components: publicKeyComponents({ kind: "ec-p256", point }) }],
      }
    ),
  }));
  const { channel } = await waiting(before);
  equal(await loadInUpgrade(channel, PACKAGES.next), "6985");
  equal(await loadInUpgrade(channel, PACKAGES.next, { dap: signed(PACKAGES.broken) }), "6982");
  equal(await sw(channel, recoverUpgrade()), "9000");
  equal(await loadInUpgrade(channel, PACKAGES.old), "6985");
  equal(await statusOfUpgrade(channel), "waiting-for-elf");
  equal(await loadInUpgrade(channel, PACKAGES.next, { dap: signed(PACKAGES.next) }), "9000");
  equal(await sw(channel, resumeUpgrade()), "9000");
});

Deno.test("a session belongs to its domain: another that manages content only asks", async () => {
  const { host, channel } = await waiting(await upgradableState("2"));
  equal(await loadInUpgrade(channel, PACKAGES.next, { domain: fromHex("A000000151555047") }), "6985");
  const isd = await host.domain(ISD_AID);
  equal(await statusOfUpgrade(isd), "waiting-for-elf");
  equal(await sw(isd, recoverUpgrade()), "6985");
  equal(await loadInUpgrade(isd, PACKAGES.next), "6985");
  const own = await host.domain();
  equal(await loadInUpgrade(own, PACKAGES.next, { domain: ISD_AID }), "9000", "its own domain may be named");
});

Deno.test("the issuer domain may upgrade too, and a domain without Authorized Management may not", async () => {
  const before = await upgradableState("2");
  const host = await upgradeHost(storeWith(before));
  const isd = await host.domain(ISD_AID);
  equal(await sw(isd, startUpgrade(fromHex("A00000000102"))), "6A88");
  equal(await sw(isd, startUpgrade(PACKAGE)), "9000");
  equal(await loadInUpgrade(isd, PACKAGES.next), "9000");
  equal(await sw(isd, resumeUpgrade()), "9000");
  const plain = await upgradeHost(storeWith({
    ...before,
    domains: before.domains.map((domain, i) =>
      i === 0 ? domain : { ...domain, privileges: fromHex("808000") }
    ),
  }));
  equal(await sw(await plain.domain(), startUpgrade(PACKAGE)), "6985");
});

Deno.test("the upgrade keys alone harm nothing: no deletion, no second instance, no lock of the applet", async () => {
  const before = await upgradableState();
  const host = await upgradeHost(storeWith(before));
  const channel = await host.domain();
  const tried = [
    deleteCommand(RECOVERY_KEY_MODULE_AID),
    deleteCommand(PACKAGE, { related: true }),
    installForInstall({
      packageAid: PACKAGE,
      moduleAid: RECOVERY_KEY_MODULE_AID,
      instanceAid: fromHex("A00000000103"),
    }),
    setStatusCommand(0x40, 0x83, RECOVERY_KEY_MODULE_AID),
    installForPersonalization(RECOVERY_KEY_MODULE_AID),
  ];
  for (const command of tried) equal(await sw(channel, command), "6985");
  deepEqual(keptOf(host.store.load()!), keptOf(before));
});
