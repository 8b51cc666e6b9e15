import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import { toHex } from "shared/base/bytes.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import type { RevocationList } from "shared/protocol/recovery_key/revocation_list.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { sha256 } from "@noble/hashes/sha2.js";
import type { CardStore } from "../card/store.ts";
import { HOST, issuerPublicKey, storeWith } from "../card/testing/applet_bench.ts";
import { PACKAGES, upgradableState, upgradeHost, upgradeTo } from "../card/testing/upgrade_bench.ts";
import { openInProcessChannel } from "../card/in_process_channel.ts";
import { type OpenCardOptions, VirtualCard } from "../card/virtual_card.ts";
import { main } from "../app/wallet_main.ts";
import { genuineCheck } from "./genuine_check.ts";
import { testIssuer } from "./testing/attested_cards.ts";
import { parseTrust, readTrustFile } from "./trust.ts";

const issuer = generatePrivateKey(SYSTEM_RANDOM);
const host = generatePrivateKey(SYSTEM_RANDOM);
const hostSerial = Uint8Array.of(0x46, 1, 2, 3, 4, 5, 6);
const KEY = "404142434445464748494A4B4C4D4E4F";

/** A trust file that is right, with changes. */
function trustFile(change: Record<string, unknown> = {}): string {
  return JSON.stringify({
    issuerPublicKey: toHex(publicKeyOf(issuer)),
    hostSerial: toHex(hostSerial),
    hostPrivateKey: toHex(host.reveal()),
    hostPublicKey: toHex(publicKeyOf(host)),
    hostSignature: toHex(ecdsaSign(issuer, hostStaticMessage(hostSerial, publicKeyOf(host)))),
    appletAid: "A0000000624C45444745523031",
    channelKeys: { version: 0, enc: KEY, mac: KEY, dek: KEY },
    ...change,
  });
}

const CARD: OpenCardOptions = { preloaded: { package: {}, instance: {} } };

async function codeOf(card: OpenCardOptions, trust: string): Promise<string> {
  const channel = openInProcessChannel(await VirtualCard.open(card));
  try {
    await genuineCheck({ channel, trust: parseTrust(trust, () => ""), random: SYSTEM_RANDOM });
    return "genuine";
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    return error.code;
  } finally {
    await channel.close();
  }
}

Deno.test("genuineCheck() refuses a card without applet, with other keys, of another target, never attested", async () => {
  assert.equal(await codeOf({}, trustFile()), "WALLET_NO_APPLET");
  const other = { version: "30", enc: "11".repeat(16), mac: "11".repeat(16), dek: "11".repeat(16) };
  assert.equal(await codeOf({ ...CARD, isdKeys: other }, trustFile()), "SCP03_CARD_CRYPTOGRAM");
  assert.equal(await codeOf(CARD, trustFile({ targetId: "33000004" })), "WALLET_OTHER_TARGET");
  assert.equal(await codeOf(CARD, trustFile({ targetId: "33400004" })), "WALLET_NOT_ATTESTED");
});

Deno.test("genuineCheck() knows a card after its upgrade, and tells the hash that applet 1.1 claims", async () => {
  const trust = trustFile({
    issuerPublicKey: toHex(issuerPublicKey),
    hostSerial: toHex(HOST.serial),
    hostPrivateKey: toHex(HOST.privateKey.reveal()),
    hostPublicKey: toHex(HOST.publicKey),
    hostSignature: toHex(HOST.signature),
  });
  const check = async (store: CardStore) => {
    const channel = openInProcessChannel(await VirtualCard.open({ store }));
    try {
      return await genuineCheck({ channel, trust: parseTrust(trust, () => ""), random: SYSTEM_RANDOM });
    } finally {
      await channel.close();
    }
  };
  const store = storeWith(await upgradableState());
  const before = await check(store);
  assert.deepEqual([before.version, before.packageHash], ["1.0.0", undefined]);
  await upgradeTo(await upgradeHost(store), PACKAGES.next);
  const after = await check(store);
  assert.deepEqual([after.version, after.packageHash], ["1.1.0", toHex(sha256(PACKAGES.next))]);
  assert.deepEqual([after.serial, after.certificateSha256], [before.serial, before.certificateSha256]);
});

Deno.test("genuineCheck() refuses a card whose certificate the list names, and says which list it looked at otherwise", async () => {
  const testing = testIssuer();
  const channel = openInProcessChannel(await testing.card("0000002A"));
  const trust = testing.trust();
  try {
    const check = (revocations?: RevocationList) =>
      genuineCheck({ channel, trust, random: SYSTEM_RANDOM, ...(revocations ? { revocations } : {}) });
    const { certificateSha256, revocations } = await check();
    assert.equal(revocations, undefined);
    const list = { number: 5, thisUpdate: 1, nextUpdate: 2 };
    const entry = { certificateSha256, serial: "0000002A", reason: "scrapped" as const };
    const others = { ...list, revoked: [{ ...entry, certificateSha256: "AB".repeat(32) }] };
    assert.equal((await check(others)).revocations, 5);
    await assert.rejects(
      check({ ...list, revoked: [...others.revoked, entry] }),
      (error) => error instanceof CodedError && error.code === "WALLET_REVOKED",
    );
  } finally {
    await channel.close();
  }
});

Deno.test("parseTrust() names what is wrong and never a value", () => {
  const stranger = generatePrivateKey(SYSTEM_RANDOM);
  const secret = toHex(host.reveal());
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ issuerPublicKey: "04".repeat(65) }, /issuerPublicKey/],
    [{ issuerPublicKey: toHex(publicKeyOf(stranger)) }, /hostSignature/],
    [{ hostPrivateKey: toHex(stranger.reveal()) }, /hostPublicKey/],
    [{ hostPrivateKey: undefined }, /hostPrivateKey or hostKeyFile/],
    [{ hostKeyFile: "x" }, /one of them/],
    [{ channelKeys: { version: 0, enc: KEY, mac: KEY, dek: "11".repeat(32) } }, /channelKeys/],
    [{ more: 1 }, /more/],
  ];
  for (const [change, words] of cases) {
    assert.throws(() => parseTrust(trustFile(change), () => ""), (error) => {
      assert.ok(error instanceof CodedError && error.code === "WALLET_TRUST");
      assert.match(error.message, words);
      return !error.message.includes(secret);
    });
  }
  assert.throws(() => parseTrust(secret, () => ""), (error) => !(error as Error).message.includes(secret));
});

Deno.test("readTrustFile() wants files of mode 0600, and reads the key from beside", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${folder}/trust.json`,
      trustFile({ hostPrivateKey: undefined, hostKeyFile: "key" }),
      { mode: 0o600 },
    );
    await Deno.writeTextFile(`${folder}/key`, `${toHex(host.reveal())}\n`, { mode: 0o600 });
    assert.equal(toHex(readTrustFile(`${folder}/trust.json`).host.publicKey), toHex(publicKeyOf(host)));
    await Deno.chmod(`${folder}/trust.json`, 0o644);
    assert.throws(() => readTrustFile(`${folder}/trust.json`), { code: "WALLET_TRUST" });
    await Deno.chmod(`${folder}/trust.json`, 0o600);
    await Deno.chmod(`${folder}/key`, 0o644);
    assert.throws(() => readTrustFile(`${folder}/trust.json`), { code: "SECRET_FILE_OPEN" });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("main() exit codes: usage 2, trust file 3", async () => {
  assert.equal(await main([]), 2);
  assert.equal(await main(["genuine-check", "--reader", "x"]), 2);
  assert.equal(await main(["genuine-check", "--reader", "x", "--trust", "/nonexistent/trust.json"]), 3);
});
