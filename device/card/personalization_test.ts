import assert from "node:assert/strict";
import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, ecdsaVerify, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { command, type CommandApdu, encodeCommand } from "shared/protocol/apdu/command.ts";
import { decodeResponse, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { getStatusCommand, parseStatusEntries } from "shared/protocol/gp/get_status.ts";
import {
  installForExtradition,
  installForInstall,
  installForLoad,
  installForPersonalization,
} from "shared/protocol/gp/install.ts";
import { loadBlocks } from "shared/protocol/gp/load.ts";
import { putKeyCommand, verifyPutKeyAnswer } from "shared/protocol/gp/put_key.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { setStatusCommand } from "shared/protocol/gp/set_status.ts";
import { storeDataCommands } from "shared/protocol/gp/store_data.ts";
import { buildCardCertificateBody, finishCardCertificate } from "shared/protocol/recovery_key/certificate.ts";
import {
  getPublicKeyCommand,
  getStatusCommand as getAppletStatus,
  setCertificateCommand,
  setStatusAttestedCommand,
} from "shared/protocol/recovery_key/commands.ts";
import { mutualAuthenticate } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { personalizationData } from "shared/protocol/recovery_key/personalization_data.ts";
import { parsePublicKeyAnswer } from "shared/protocol/recovery_key/public_key.ts";
import { cardKeyMessage, hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import { parseStatus } from "shared/protocol/recovery_key/status.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import type { SecurityLevel } from "shared/protocol/scp03/constants.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import {
  ISD_AID,
  RECOVERY_KEY_MODULE_AID,
  RECOVERY_KEY_PACKAGE_AID,
  SSD_AID,
  SSD_MODULE_AID,
  SSD_PACKAGE_AID,
} from "./constants.ts";
import type { CardOptions } from "./options.ts";
import { VirtualCard } from "./virtual_card.ts";

const keySet = (hex: string): StaticKeys => ({
  enc: new Secret(fromHex(hex)),
  mac: new Secret(fromHex(hex)),
  dek: new Secret(fromHex(hex)),
});
const TEST_KEYS = keySet("404142434445464748494A4B4C4D4E4F");
const SSD_KEYS = keySet("A5".repeat(32));
const SERIAL = fromHex("00C0FFEE");

/** A card with hands: plain commands and channels. */
async function cardWith(options: CardOptions = {}) {
  const card = await VirtualCard.open(options);
  card.powerOn();
  const transmit = async (c: CommandApdu): Promise<ResponseApdu> =>
    decodeResponse(await card.process(encodeCommand(c)));
  const select = async (aid: Uint8Array) => assert.equal((await transmit(selectCommand(aid))).sw, 0x9000);
  const open = (keys: StaticKeys, keyVersion = 0, level: SecurityLevel = 0x33, more = {}) =>
    SecureChannel.open({ transmit, keyVersion, keys, level, random: SYSTEM_RANDOM, ...more });
  return { card, transmit, select, open };
}

async function ok(answer: Promise<ResponseApdu>): Promise<Uint8Array> {
  const { sw, data } = await answer;
  assert.equal(sw.toString(16), "9000");
  return data;
}

async function loadPackage(channel: SecureChannel, cap: Uint8Array, packageAid = RECOVERY_KEY_PACKAGE_AID) {
  await ok(channel.send(installForLoad({ packageAid })));
  let last: ResponseApdu | undefined;
  for (const block of loadBlocks(readCap(cap).loadFileDataBlock, 200)) last = await channel.send(block);
  return last!;
}

const installApplet = installForInstall({
  packageAid: RECOVERY_KEY_PACKAGE_AID,
  moduleAid: RECOVERY_KEY_MODULE_AID,
  instanceAid: RECOVERY_KEY_MODULE_AID,
});
const installSsd = installForInstall({
  packageAid: SSD_PACKAGE_AID,
  moduleAid: SSD_MODULE_AID,
  instanceAid: SSD_AID,
  privileges: fromHex("808000"),
});

Deno.test("VirtualCard goes from blank to attested under the SSD, is secured and loses its transport keys", async () => {
  const { transmit, select, open } = await cardWith();
  await select(ISD_AID);
  let isd = await open(TEST_KEYS, 0x30);
  assert.equal((await loadPackage(isd, writeTestCap({ version: { major: 2, minor: 3 } }))).sw, 0x9000);
  await ok(isd.send(installSsd));
  await ok(isd.send(installApplet));
  await ok(isd.send(installForExtradition({ securityDomainAid: SSD_AID, aid: RECOVERY_KEY_MODULE_AID })));
  const applications = parseStatusEntries(await ok(isd.send(getStatusCommand(0x40))));
  assert.deepEqual(applications.map((one) => toHex(one.aid)), [
    toHex(SSD_AID),
    toHex(RECOVERY_KEY_MODULE_AID),
  ]);

  // Without keys of its own the SSD answers with the ISD's; PUT KEY gives it its own.
  await select(SSD_AID);
  const first = await open(TEST_KEYS, 0x30);
  const put = putKeyCommand({
    newVersion: 0x31,
    keys: SSD_KEYS,
    encryptWithDek: (data) => first.encryptWithDek(data),
  });
  verifyPutKeyAnswer(await ok(first.send(put)), 0x31, SSD_KEYS);
  assert.equal((await first.send(installForLoad({ packageAid: fromHex("A000000001") }))).sw, 0x6985);

  await select(SSD_AID);
  const ssd = await open(SSD_KEYS, 0x31);
  const attestationKey = generatePrivateKey(SYSTEM_RANDOM);
  const issuerKey = generatePrivateKey(SYSTEM_RANDOM);
  const issuerPublicKey = publicKeyOf(issuerKey);
  await ok(ssd.send(installForPersonalization(RECOVERY_KEY_MODULE_AID)));
  const blocks = personalizationData({ serial: SERIAL, attestationKey, issuerPublicKey });
  for (const store of storeDataCommands(blocks)) await ok(ssd.send(store));

  await select(RECOVERY_KEY_MODULE_AID);
  let applet = await open(SSD_KEYS, 0x31, 0x33, { wireCla: 0x08 });
  const { publicKey, serial, signature } = parsePublicKeyAnswer(await ok(applet.send(getPublicKeyCommand())));
  assert.ok(equal(serial, SERIAL));
  const targetId = fromHex("33400004");
  assert.ok(ecdsaVerify(publicKeyOf(attestationKey), cardKeyMessage(targetId, publicKey), signature));
  const body = buildCardCertificateBody({ serial, publicKey, targetDevice: 4 });
  await ok(applet.send(setCertificateCommand(finishCardCertificate(body, ecdsaSign(issuerKey, body)))));
  await ok(applet.send(setStatusAttestedCommand()));
  const status = parseStatus(await ok(applet.send(getAppletStatus())));
  assert.deepEqual([status.lifeCycle, status.transient, status.version], [2, 1, {
    major: 2,
    minor: 3,
    patch: 0,
  }]);

  await select(RECOVERY_KEY_MODULE_AID);
  applet = await open(SSD_KEYS, 0x31, 0x33, { wireCla: 0x08 });
  const hostKey = generatePrivateKey(SYSTEM_RANDOM);
  const hostSerial = fromHex("48573030303031");
  const host = {
    serial: hostSerial,
    privateKey: hostKey,
    publicKey: publicKeyOf(hostKey),
    signature: ecdsaSign(issuerKey, hostStaticMessage(hostSerial, publicKeyOf(hostKey))),
  };
  const authenticated = await mutualAuthenticate({
    send: (c) => applet.send(c),
    issuerPublicKey,
    host,
    random: SYSTEM_RANDOM,
    strict: true,
  });
  assert.ok(equal(authenticated.cardSerial, SERIAL));

  await select(ISD_AID);
  isd = await open(TEST_KEYS, 0x30);
  assert.equal(
    (await isd.send(setStatusCommand(0x80, 0x0f))).sw,
    0x6985,
    "not from OP_READY to SECURED at once",
  );
  await ok(isd.send(setStatusCommand(0x80, 0x07)));
  await ok(isd.send(setStatusCommand(0x80, 0x0f)));
  const forgotten = keySet(toHex(SYSTEM_RANDOM(32)));
  const last = putKeyCommand({
    newVersion: 0x32,
    replaceVersion: 0x30,
    keys: forgotten,
    encryptWithDek: (data) => isd.encryptWithDek(data),
  });
  verifyPutKeyAnswer(await ok(isd.send(last)), 0x32, forgotten);
  await select(ISD_AID);
  // INITIALIZE UPDATE alone tells that it happened.
  const challenge = SYSTEM_RANDOM(8);
  assert.equal((await transmit(command(0x80, 0x50, 0x30, 0, challenge, 256))).sw, 0x6a88);
  assert.equal((await transmit(command(0x80, 0x50, 0x00, 0, challenge, 256))).data[10], 0x32);
});

Deno.test("VirtualCard opens channels at AES-128, 192 and 256, S8 and S16", async () => {
  for (const bytes of [16, 24, 32]) {
    for (const [i, mode] of [["70", "S8"], ["71", "S16"], ["60", "S8"], ["61", "S16"]] as const) {
      const hex = "5A".repeat(bytes);
      const { select, open } = await cardWith({
        i,
        isdKeys: { version: "01", enc: hex, mac: hex, dek: hex },
      });
      await select(ISD_AID);
      const channel = await open(keySet(hex), 0x01, 0x33, { mode });
      assert.equal(channel.info.sequenceCounter === undefined, (parseInt(i, 16) & 0x10) === 0);
      assert.equal(parseStatusEntries(await ok(channel.send(getStatusCommand(0x80)))).length, 1);
      const keys = keySet("C3".repeat(bytes));
      const put = putKeyCommand({
        newVersion: 2,
        keys,
        encryptWithDek: (data) => channel.encryptWithDek(data),
      });
      verifyPutKeyAnswer(await ok(channel.send(put)), 2, keys);
    }
  }
});

Deno.test("VirtualCard counts failed authentications, forgets them at a good one, and blocks the key set", async () => {
  const { select, open } = await cardWith({ failedAuthenticationsMax: 3 });
  await select(ISD_AID);
  // The host refuses a wrong card cryptogram by itself: a wrong host cryptogram must be sent by hand.
  const { transmit, select: again, open: openAgain } = await cardWith({ failedAuthenticationsMax: 3 });
  await again(ISD_AID);
  const fail = async () => {
    const update = await transmit(command(0x80, 0x50, 0, 0, SYSTEM_RANDOM(8), 256));
    if (update.sw !== 0x9000) return update.sw;
    return (await transmit(command(0x84, 0x82, 0x33, 0, new Uint8Array(16)))).sw;
  };
  assert.equal(await fail(), 0x6300);
  assert.equal(await fail(), 0x6300);
  await openAgain(TEST_KEYS);
  assert.equal(await fail(), 0x6300);
  assert.equal(await fail(), 0x6300);
  assert.equal(await fail(), 0x6300);
  assert.equal(await fail(), 0x6983);
  await assert.rejects(openAgain(TEST_KEYS), { code: "SCP03_INITIALIZE_REFUSED" });
  await open(TEST_KEYS);
});

Deno.test("VirtualCard refuses loads that are torn, misnumbered, foreign or no CAP", async () => {
  const { card, select, open } = await cardWith();
  await select(ISD_AID);
  const channel = await open(TEST_KEYS);
  const cap = writeTestCap();
  const foreign = writeTestCap({
    packageAid: fromHex("A00000000102"),
    appletAids: [fromHex("A0000000010203")],
  });
  assert.equal((await loadPackage(channel, foreign)).sw, 0x6a80, "another package than announced");
  const blocks = loadBlocks(readCap(cap).loadFileDataBlock, 100);
  assert.equal((await channel.send(blocks[0]!)).sw, 0x6985, "no INSTALL [for load]");
  await ok(channel.send(installForLoad({ packageAid: RECOVERY_KEY_PACKAGE_AID })));
  await ok(channel.send(blocks[0]!));
  assert.equal((await channel.send(blocks[2]!)).sw, 0x6a86, "block 1 is missing");
  assert.equal((await channel.send(blocks[1]!)).sw, 0x6985, "a refusal ends the load");
  const wrongHash = installForLoad({ packageAid: RECOVERY_KEY_PACKAGE_AID, hash: new Uint8Array(32) });
  await ok(channel.send(wrongHash));
  let last: ResponseApdu | undefined;
  for (const block of blocks) last = await channel.send(block);
  assert.equal(last!.sw, 0x6a80, "another hash than announced");

  // Torn by power-off: it begins again at block 0.
  await ok(channel.send(installForLoad({ packageAid: RECOVERY_KEY_PACKAGE_AID })));
  await ok(channel.send(blocks[0]!));
  card.powerOn();
  const fresh = await open(TEST_KEYS);
  assert.equal((await fresh.send(blocks[1]!)).sw, 0x6985);
  assert.equal((await loadPackage(fresh, cap)).sw, 0x9000);
  assert.equal((await fresh.send(installForLoad({ packageAid: RECOVERY_KEY_PACKAGE_AID }))).sw, 0x6985);
});

Deno.test("VirtualCard loads foreign packages, whose instances do nothing, and deletes", async () => {
  const { transmit, select, open } = await cardWith();
  await select(ISD_AID);
  const packageAid = fromHex("A00000000102");
  const moduleAid = fromHex("A0000000010203");
  const channel = await open(TEST_KEYS);
  assert.equal(
    (await loadPackage(channel, writeTestCap({ packageAid, appletAids: [moduleAid] }), packageAid)).sw,
    0x9000,
  );
  const install = { packageAid, moduleAid, instanceAid: fromHex("A000000001020304") };
  await ok(channel.send(installForInstall(install)));
  assert.equal((await channel.send(installForInstall(install))).sw, 0x6a80, "the AID is taken");
  assert.equal(
    (await channel.send(installForInstall({ ...install, moduleAid: ISD_AID, instanceAid: SSD_AID }))).sw,
    0x6a88,
  );
  assert.equal((await channel.send(deleteCommand(packageAid))).sw, 0x6985, "still in use");
  await select(fromHex("A00000000102"));
  assert.equal((await transmit(command(0x08, 0xf2, 0, 0))).sw, 0x6d00);
  assert.equal((await transmit(selectCommand(fromHex("A0000000990011")))).sw, 0x6e00);
  await select(ISD_AID);
  const again = await open(TEST_KEYS);
  await ok(again.send(deleteCommand(packageAid, { related: true })));
  assert.equal((await again.send(getStatusCommand(0x40))).sw, 0x6a88);
  assert.equal((await again.send(deleteCommand(packageAid))).sw, 0x6a88);
});

Deno.test("VirtualCard answers 6982 without session, and PUT KEY with a wrong check value 9485", async () => {
  const { transmit, select, open } = await cardWith();
  await select(ISD_AID);
  for (const ins of [0xd8, 0xe2, 0xe4, 0xe6, 0xe8, 0xf0, 0xf2]) {
    assert.equal((await transmit(command(0x80, ins, 0, 0, Uint8Array.of(0)))).sw, 0x6982, ins.toString(16));
    assert.equal((await transmit(command(0x84, ins, 0, 0, new Uint8Array(8)))).sw, 0x6982, ins.toString(16));
  }
  const channel = await open(TEST_KEYS);
  const put = putKeyCommand({
    newVersion: 2,
    keys: SSD_KEYS,
    encryptWithDek: (data) => channel.encryptWithDek(data),
  });
  const data = put.data.slice();
  data[data.length - 1]! ^= 1;
  assert.equal((await channel.send({ ...put, data })).sw, 0x9485);
  assert.equal((await channel.send({ ...put, p1: 0x55 })).sw, 0x6a88);
  await ok(channel.send(put));
  assert.equal((await channel.send(put)).sw, 0x6a80, "the version exists");
});
