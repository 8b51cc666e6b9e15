/** Every byte of every wrapped message changed: the card refuses with the code that the genuine one gives, and did nothing. */

import assert from "node:assert/strict";
import { fromHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { command, type CommandApdu, encodeCommand } from "shared/protocol/apdu/command.ts";
import { decodeResponse, response } from "shared/protocol/apdu/response.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { getStatusCommand } from "shared/protocol/gp/get_status.ts";
import { installForLoad, installForPersonalization } from "shared/protocol/gp/install.ts";
import { startUpgrade } from "shared/protocol/gp/manage_elf_upgrade.ts";
import { putKeyCommand } from "shared/protocol/gp/put_key.ts";
import { setStatusCommand } from "shared/protocol/gp/set_status.ts";
import {
  getDataCommand,
  setCardNameCommand,
  setPinCommand,
  setSeedCommand,
  verifyPinCommand,
  verifySeedCommand,
} from "shared/protocol/recovery_key/commands.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { RECOVERY_KEY_MODULE_AID, RECOVERY_KEY_PACKAGE_AID } from "./constants.ts";
import { encodeCardState } from "./state.ts";
import { memoryStore } from "./store.ts";
import { appletIn, type AppletStateName, iv, PIN } from "./testing/applet_bench.ts";
import { cardBench, installDomain, keySet, statusOf, testKeys } from "./testing/bench.ts";

const CLA_OFFSET = 0;
const INS_OFFSET = 1;
const LC_OFFSET = 4;
const CHANGES = [0x01, 0x80];

const DOMAIN_INS = [0xd8, 0xe2, 0xe4, 0xe6, 0xe8, 0xf0, 0xf2, 0xca];

/** A length that is one less makes an Le of the last byte: a command, whose MAC is cut. Any other is none. */
const lengthStatus = (changed: Uint8Array) => changed.length === 6 + changed[LC_OFFSET]! ? "6988" : "6700";

/** What the ISD answers to a changed byte. Class and instruction are looked at before the session, as d_errors has it. */
function expectedOfDomain(changed: Uint8Array, at: number): string {
  const [cla = 0, ins = 0] = changed;
  if (at === LC_OFFSET) return lengthStatus(changed);
  if (at === CLA_OFFSET) {
    return (cla & 0x43) !== 0 ? "6881" : "6E00";
  }
  if (at === INS_OFFSET && !DOMAIN_INS.includes(ins)) return ins === 0x50 ? "6E00" : "6D00";
  return "6988";
}

/** The same of the applet, whose class is 08. */
function expectedOfApplet(changed: Uint8Array, at: number): string {
  const [cla = 0] = changed;
  if (at === LC_OFFSET) return lengthStatus(changed);
  if (at === CLA_OFFSET) return (cla & 0x43) !== 0 ? "6881" : "6E00";
  return "6988";
}

/** Copies of a message with one byte changed; Le, when there is one, is under no MAC and stays. */
function* changesOf(apdu: Uint8Array): Generator<{ changed: Uint8Array; at: number }> {
  const end = 5 + apdu[LC_OFFSET]!;
  for (let at = 0; at < end; at++) {
    for (const bits of CHANGES) {
      const changed = apdu.slice();
      changed[at]! ^= bits;
      // A length of zero means an extended APDU, and the whole message changes its form: 6700 as well.
      yield { changed, at };
    }
  }
}

/** Runs `prepare`, catches the wrapped command on the wire instead of sending it. */
async function wrappedOf(
  transmit: (c: CommandApdu) => Promise<ReturnType<typeof response>>,
  open: (transmit: (c: CommandApdu) => Promise<ReturnType<typeof response>>) => Promise<SecureChannel>,
  make: (channel: SecureChannel) => CommandApdu,
): Promise<Uint8Array> {
  let caught: CommandApdu | undefined;
  let armed = false;
  const channel = await open((c) => {
    if (!armed) return transmit(c);
    caught = c;
    return Promise.resolve(response(0x6a80));
  });
  const plain = make(channel);
  armed = true;
  await channel.send(plain);
  return encodeCommand(caught!);
}

const ISSUER: Readonly<Record<string, (channel: SecureChannel) => CommandApdu>> = {
  "GET STATUS": () => getStatusCommand(0x80),
  "INSTALL [for install]": () => installDomain(fromHex("D000000001")),
  "INSTALL [for load]": () => installForLoad({ packageAid: fromHex("D000000002"), hash: new Uint8Array(32) }),
  "INSTALL [for personalization]": () => installForPersonalization(RECOVERY_KEY_MODULE_AID),
  "MANAGE ELF UPGRADE": () => startUpgrade(RECOVERY_KEY_PACKAGE_AID),
  "DELETE": () => deleteCommand(RECOVERY_KEY_MODULE_AID),
  "SET STATUS": () => setStatusCommand(0x80, 0x07),
  "STORE DATA": () => command(0x80, 0xe2, 0x90, 0, fromHex("4203AABBCC")),
  "PUT KEY": (channel) =>
    putKeyCommand({
      newVersion: 1,
      keys: keySet("5A".repeat(16)),
      encryptWithDek: (data) => channel.encryptWithDek(data),
    }),
};

Deno.test("the issuer domain refuses every changed byte of every wrapped command, and nothing has happened", async () => {
  let refused = 0;
  for (const [name, make] of Object.entries(ISSUER)) {
    for (const level of [0x01, 0x33] as const) {
      const store = memoryStore();
      const bench = await cardBench({ store, preloaded: { package: {}, instance: {} } });
      const open = (transmit: typeof bench.transmit) =>
        SecureChannel.open({ transmit, keyVersion: 0, keys: testKeys(), level, random: SYSTEM_RANDOM });
      let good = await wrappedOf(bench.transmit, open, make);
      let memory = encodeCardState(store.load()!);
      const count = [...changesOf(good)].length;
      for (let index = 0; index < count; index++) {
        const { changed, at } = [...changesOf(good)][index]!;
        const { sw } = decodeResponse(await bench.card.process(changed));
        const expected = expectedOfDomain(changed, at);
        assert.equal(
          formatStatus(sw),
          expected,
          `${name}, level ${level}, byte ${at}: ${changed[at]?.toString(16)}`,
        );
        assert.equal(encodeCardState(store.load()!), memory, `${name}: byte ${at} changed the card`);
        refused++;
        if (expected !== "6988") continue;
        // The session is over: even the right message is refused, and a new session is needed.
        const after = decodeResponse(await bench.card.process(good)).sw;
        assert.equal(formatStatus(after), "6982", `${name}: after byte ${at}`);
        good = await wrappedOf(bench.transmit, open, make);
        memory = encodeCardState(store.load()!);
      }
    }
  }
  console.log(`issuer domain: ${refused} changed messages refused`);
});

const APPLET: readonly (readonly [
  string,
  AppletStateName,
  (keys: NonNullable<Awaited<ReturnType<typeof appletIn>>["capsuleKeys"]>) => CommandApdu,
])[] = [
  ["SET PIN", "2/3", (keys) => setPinCommand(keys, PIN, iv())],
  ["SET SEED", "2/3+PIN", (keys) => setSeedCommand(keys, new Secret(new Uint8Array(32).fill(7)), iv())],
  ["VERIFY PIN", "3/3", (keys) => verifyPinCommand(keys, PIN, iv())],
  ["GET DATA", "3/4", (keys) => getDataCommand(keys, 0x9f17)],
  ["SET DATA", "3/4", (keys) => setCardNameCommand(keys, Uint8Array.of(0x41), iv())],
  ["VERIFY SEED", "3/4", (keys) => verifySeedCommand(keys, new Uint8Array(32), iv())],
];

Deno.test("the applet refuses every changed byte of every wrapped command and of every capsule", async () => {
  let refused = 0;
  for (const [name, state, make] of APPLET) {
    const bench = await appletIn(state);
    const keys = bench.capsuleKeys!;
    const open = (transmit: typeof bench.transmit) =>
      SecureChannel.open({
        transmit,
        keyVersion: 0,
        keys: testKeys(),
        level: 0x33,
        random: SYSTEM_RANDOM,
        wireCla: 0x08,
      });
    const applet = () => JSON.stringify(bench.store.load()!.instances);
    const memory = applet();
    // On the wire. Inner channel and unlocked state survive into the next session of the same selection.
    let good = await wrappedOf(bench.transmit, open, () => make(keys));
    const count = [...changesOf(good)].length;
    for (let index = 0; index < count; index++) {
      const { changed, at } = [...changesOf(good)][index]!;
      const expected = expectedOfApplet(changed, at);
      assert.equal(
        formatStatus(decodeResponse(await bench.card.process(changed)).sw),
        expected,
        `${name}, byte ${at}`,
      );
      assert.equal(applet(), memory, `${name}: byte ${at} changed the card`);
      refused++;
      if (expected !== "6988") continue;
      assert.equal(formatStatus(decodeResponse(await bench.card.process(good)).sw), "6982");
      good = await wrappedOf(bench.transmit, open, () => make(keys));
    }
    // Inside the session: the capsule. Its IV is under no MAC (card page, section 9), so those bytes are left out.
    const channel = await open(bench.transmit);
    const capsule = make(keys).data;
    const isHeaderMac = capsule.length === 33;
    for (let at = 0; at < capsule.length; at++) {
      if (!isHeaderMac && at >= 1 && at <= 16) continue;
      const plain = make(keys);
      const data = plain.data.slice();
      data[at]! ^= 0x01;
      const expected = isHeaderMac && at === 0 ? "6700" : "6888";
      assert.equal(await statusOf(channel.send({ ...plain, data })), expected, `${name}: capsule byte ${at}`);
      assert.equal(applet(), memory);
      refused++;
    }
  }
  console.log(`applet: ${refused} changed messages refused`);
});

Deno.test("EXTERNAL AUTHENTICATE with any byte changed opens nothing and is counted where a cryptogram was checked", async () => {
  const store = memoryStore();
  const bench = await cardBench({ store, failedAuthenticationsMax: 65535 });
  const failures = () => store.load()!.domains[0]!.keySets[0]!.failedAuthentications;
  const authenticate = async () => {
    let caught: CommandApdu | undefined;
    await SecureChannel.open({
      transmit(c) {
        if (c.ins !== 0x82) return bench.transmit(c);
        caught = c;
        return Promise.resolve(response(0x6300));
      },
      keyVersion: 0,
      keys: testKeys(),
      level: 0x33,
      random: SYSTEM_RANDOM,
    }).catch(() => {});
    return encodeCommand(caught!);
  };
  let refused = 0;
  for (let index = 0; index < 2 * (5 + 16); index++) {
    const before = failures();
    const { changed, at } = [...changesOf(await authenticate())][index]!;
    const sw = formatStatus(decodeResponse(await bench.card.process(changed)).sw);
    const known = [0x00, 0x01, 0x03, 0x11, 0x13, 0x33].includes(changed[2]!);
    const byOffset = [
      (changed[0]! & 0x43) !== 0 ? "6881" : "6E00",
      "6D00",
      known ? "6300" : "6A86",
      "6300",
      "6700",
    ];
    const expected = byOffset[at] ?? "6300";
    assert.equal(sw, expected, `byte ${at} is ${changed[at]}`);
    assert.equal(failures() - before, expected === "6300" ? 1 : 0, `byte ${at}`);
    assert.equal(await statusOf(bench.transmit(command(0x84, 0xf2, 0x80, 2, new Uint8Array(8)))), "6982");
    refused++;
  }
  assert.equal(refused, 42);
});
