/** An independent client (gp_client.py: pyscard and OpenSSL) upgrades a personalized card over a private pcscd, C-MAC alone. */

import assert from "node:assert/strict";
import {
  RECOVERY_KEY_MODULE_AID,
  RECOVERY_KEY_PACKAGE_AID,
  UPGRADE_DOMAIN_AID,
} from "device/card/constants.ts";
import { HOST, PIN, storeWith } from "device/card/testing/applet_bench.ts";
import { keptOf, PACKAGES, upgradableState, UPGRADE_KEYS_HEX } from "device/card/testing/upgrade_bench.ts";
import { PUBLISHED_TEST_KEYS } from "device/card/options.ts";
import { VirtualCard } from "device/card/virtual_card.ts";
import { attachToVpcd } from "device/card/vpcd.ts";
import { toHex } from "shared/base/bytes.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { UPGRADE_KEY_VERSION } from "shared/protocol/gp/manage_elf_upgrade.ts";
import { startPcscd } from "tests/environment/pcscd.ts";

const PYTHON = "/usr/bin/python3";
const CLIENT = decodeURIComponent(new URL("./gp_client.py", import.meta.url).pathname);

Deno.test("a Python client upgrades a personalized card over PC/SC, its power lost on the way", async () => {
  const modules = await new Deno.Command(PYTHON, { args: ["-c", "import smartcard, cryptography"] }).output();
  assert.ok(modules.success, "apt-get install python3-pyscard python3-cryptography");
  const directory = await Deno.makeTempDir({ prefix: "rk-" });
  const stop = new AbortController();
  let done: Promise<void> | undefined;
  try {
    await using pcscd = await startPcscd({ directory, readers: 1 });
    const { name, port } = pcscd.readers[0]!;
    const before = await upgradableState();
    const store = storeWith(before);
    const attached = Promise.withResolvers<void>();
    done = attachToVpcd(await VirtualCard.open({ store }), {
      host: "127.0.0.1",
      port,
      signal: stop.signal,
      // The driver powers the card once it has seen it.
      onEvent: (event) => event.event === "power" && attached.resolve(),
    }).done;
    await attached.promise;
    const loadFile = `${directory}/load_file`;
    await Deno.writeFile(loadFile, PACKAGES.next);
    const plan = `${directory}/plan.json`;
    await Deno.writeTextFile(
      plan,
      JSON.stringify({
        host: {
          serial: toHex(HOST.serial),
          key: toHex(HOST.privateKey.reveal()),
          signature: toHex(HOST.signature),
        },
        applet: toHex(RECOVERY_KEY_MODULE_AID),
        package: toHex(RECOVERY_KEY_PACKAGE_AID),
        pin: PIN.join(""),
        channelKey: "404142434445464748494A4B4C4D4E4F",
        domain: toHex(UPGRADE_DOMAIN_AID),
        upgradeKey: UPGRADE_KEYS_HEX,
        upgradeVersion: UPGRADE_KEY_VERSION,
        loadFile,
        torn: 1,
      }),
      { mode: 0o600 },
    );
    const { success, stdout, stderr } = await new Deno.Command(PYTHON, {
      args: [CLIENT, name, "upgrade", plan],
      env: { ...pcscd.env, PYTHONDONTWRITEBYTECODE: "1" },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    assert.ok(success, decoder.decode(stderr));
    assert.deepEqual(JSON.parse(decoder.decode(stdout)), {
      before: "00",
      startWithoutPin: "6982",
      requestUpgrade: "9000",
      start: "waiting-for-elf",
      afterPowerLoss: "waiting-for-elf",
      loaded: "waiting-for-restore",
      resume: "completed",
      again: "6985",
      abort: "6985",
      requestUpgradeAfterwards: "9000",
    });
    const after = store.load()!;
    assert.deepEqual(keptOf(after), keptOf(before));
    assert.deepEqual(after.instances[0]!.recoveryKey!.version, { major: 1, minor: 1 });
  } finally {
    stop.abort();
    await done;
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a Python client upgrades cards with the published test keys: through the issuer domain without any option, or an upgrade domain", async () => {
  const directory = await Deno.makeTempDir({ prefix: "rk-" });
  const stop = new AbortController();
  const cards: Promise<void>[] = [];
  try {
    await using pcscd = await startPcscd({ directory, readers: 2 });
    const caps = await Promise.all([0, 1].map(async (minor) => {
      const path = `${directory}/1.${minor}.cap`;
      await Deno.writeFile(path, writeTestCap({ version: { major: 1, minor } }));
      return path;
    }));
    const upgradeDomain = { keys: { ...PUBLISHED_TEST_KEYS, version: "40" } };
    const kinds = [
      { options: {}, domain: [] },
      { options: { preloaded: { upgradeDomain } }, domain: [toHex(UPGRADE_DOMAIN_AID)] },
    ];
    for (const [index, { options, domain }] of kinds.entries()) {
      const { name, port } = pcscd.readers[index]!;
      const attached = Promise.withResolvers<void>();
      cards.push(
        attachToVpcd(await VirtualCard.open(options), {
          host: "127.0.0.1",
          port,
          signal: stop.signal,
          onEvent: (event) => event.event === "power" && attached.resolve(),
        }).done,
      );
      await attached.promise;
      const { success, stdout, stderr } = await new Deno.Command(PYTHON, {
        args: [CLIENT, name, "upgrade-blank", ...caps, ...domain],
        env: { ...pcscd.env, PYTHONDONTWRITEBYTECODE: "1" },
        stdin: "null",
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), {
        from: "1.0.0",
        none: "00",
        start: "waiting-for-elf",
        loaded: "waiting-for-restore",
        resume: "completed",
        to: "1.1.0",
      });
    }
  } finally {
    stop.abort();
    await Promise.all(cards);
    await Deno.remove(directory, { recursive: true });
  }
});
