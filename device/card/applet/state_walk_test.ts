/**
 * Applet state x command x form, and session x command, walked completely. The expectations are tables of their own,
 * from d_errors.txt (sections 3 to 5, 7 and 8) and the card page, sections 3 and 4.
 */

import assert from "node:assert/strict";
import { fromHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { command, type CommandApdu, encodeCommand } from "shared/protocol/apdu/command.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import type { CapsuleKeys } from "shared/protocol/recovery_key/capsule.ts";
import {
  factoryResetCommand,
  getCardCertificateCommand,
  getDataCommand,
  pinChangeCommand,
  requestUpgradeCommand,
  restoreSeedCommand,
  setCardNameCommand,
  setCertificateCommand,
  setPinCommand,
  setSeedCommand,
  validateHostCertificateCommand,
  verifyPinCommand,
  verifySeedCommand,
} from "shared/protocol/recovery_key/commands.ts";
import { parseStatus } from "shared/protocol/recovery_key/status.ts";
import { publicKeyOf } from "shared/crypto/secp256k1.ts";
import { statusOf, testKeys } from "../testing/bench.ts";
import {
  APPLET_STATES,
  type AppletBench,
  appletIn,
  type AppletStateName,
  cardCertificate,
  HOST,
  iv,
  PIN,
} from "../testing/applet_bench.ts";

/** Keys for states that have no inner channel: what they seal is never looked at there. */
const NO_KEYS: CapsuleKeys = { enc: new Secret(new Uint8Array(32)), mac: new Secret(new Uint8Array(8)) };
const ENTROPY = () => new Secret(new Uint8Array(32).fill(0x0f));
const header = (ins: number, p1 = 0, p2 = 0) => command(0x08, ins, p1, p2);
const withoutData = (c: CommandApdu): CommandApdu => ({ ...c, data: new Uint8Array(0) });

interface Row {
  readonly name: string;
  /** States in which it is taken; in any other `6985`. */
  readonly states: readonly AppletStateName[];
  /** The well-formed command. */
  readonly make: (keys: CapsuleKeys) => CommandApdu;
  /** What the well-formed one answers where the state is right. Default 9000. */
  readonly answer?: string;
  /** Answers to variants where the state is right. */
  readonly wrongP1: string;
  readonly wrongP2: string;
  /** Without data, or, for commands that have none, with one byte. */
  readonly otherData: string;
  /** Last byte of the data changed; for commands without data the same as `otherData`. */
  readonly changed: string;
}

const same = (sw: string) => ({ wrongP1: sw, wrongP2: sw });
const P1P2 = same("6A86");
/** P1 P2 are not looked at. */
const UNCHECKED = same("9000");
const AUTHENTICATING = ["2/1", "3/2"] as const;

const ROWS: readonly Row[] = [
  {
    name: "GET PUBLIC KEY",
    states: ["0/0"],
    make: () => header(0x40),
    ...P1P2,
    otherData: "6700",
    changed: "6700",
  },
  {
    name: "SET CERTIFICATE",
    states: ["0/0"],
    make: () => setCertificateCommand(cardCertificate(publicKeyOf(HOST.privateKey))),
    ...P1P2,
    otherData: "6700",
    changed: "6982",
  },
  {
    name: "SET STATUS",
    states: ["1/0"],
    make: () => header(0xf0, 0, 2),
    ...P1P2,
    otherData: "6700",
    changed: "6700",
  },
  {
    name: "GET CARD CERTIFICATE static",
    states: AUTHENTICATING,
    make: () => getCardCertificateCommand(new Uint8Array(8)),
    ...P1P2,
    otherData: "6700",
    changed: "9000",
  },
  {
    name: "GET CARD CERTIFICATE ephemeral alone",
    states: AUTHENTICATING,
    make: () => header(0x52, 0x80),
    answer: "6985",
    wrongP1: "6A86",
    wrongP2: "6A86",
    otherData: "6985",
    changed: "6985",
  },
  {
    name: "VALIDATE HOST CERTIFICATE static",
    states: AUTHENTICATING,
    make: () => validateHostCertificateCommand(HOST),
    ...P1P2,
    otherData: "6700",
    changed: "6982",
  },
  {
    name: "VALIDATE HOST CERTIFICATE ephemeral alone",
    states: AUTHENTICATING,
    make: () => command(0x08, 0x51, 0x80, 0, new Uint8Array(140)),
    answer: "6985",
    ...P1P2,
    otherData: "6985",
    changed: "6985",
  },
  {
    name: "SET PIN",
    states: ["2/3"],
    make: (keys) => setPinCommand(keys, PIN, iv()),
    ...P1P2,
    otherData: "6887",
    changed: "6888",
  },
  {
    name: "SET SEED",
    states: ["2/3+PIN"],
    make: (keys) => setSeedCommand(keys, ENTROPY(), iv()),
    ...UNCHECKED,
    otherData: "6888",
    changed: "6888",
  },
  {
    name: "VERIFY PIN",
    states: ["3/3"],
    make: (keys) => verifyPinCommand(keys, PIN, iv()),
    ...P1P2,
    otherData: "6887",
    changed: "6888",
  },
  {
    name: "PIN CHANGE",
    states: ["3/4"],
    make: (keys) => pinChangeCommand(keys, PIN, iv()),
    ...P1P2,
    otherData: "6887",
    changed: "6888",
  },
  // The header's MAC covers P1 P2: with those of another header it is wrong.
  {
    name: "RESTORE SEED",
    states: ["3/4"],
    make: restoreSeedCommand,
    ...same("6888"),
    otherData: "6887",
    changed: "6888",
  },
  {
    name: "VERIFY SEED",
    states: ["3/4"],
    make: (keys) => verifySeedCommand(keys, new Uint8Array(32), iv()),
    ...UNCHECKED,
    otherData: "6887",
    changed: "6888",
  },
  {
    name: "GET DATA tries",
    states: ["3/3", "3/4"],
    make: (keys) => getDataCommand(keys, 0x9f17),
    ...P1P2,
    otherData: "6887",
    changed: "6888",
  },
  {
    name: "GET DATA name",
    states: ["3/3", "3/4"],
    make: (keys) => getDataCommand(keys, 0x0066),
    answer: "6A88",
    ...P1P2,
    otherData: "6887",
    changed: "6888",
  },
  {
    name: "SET DATA",
    states: ["3/4"],
    make: (keys) => setCardNameCommand(keys, Uint8Array.of(0x41), iv()),
    ...P1P2,
    otherData: "6887",
    changed: "6888",
  },
  {
    name: "FACTORY RESET",
    states: ["3/4"],
    make: factoryResetCommand,
    ...same("6888"),
    otherData: "6887",
    changed: "6888",
  },
  {
    name: "REQUEST UPGRADE",
    states: ["3/3", "3/4"],
    make: (keys) => requestUpgradeCommand(keys, PIN, iv()),
    ...P1P2,
    otherData: "6887",
    changed: "6888",
  },
];

const FORMS: Readonly<
  Record<string, { form: (c: CommandApdu) => CommandApdu; expected: (row: Row) => string }>
> = {
  "well-formed": { form: (c) => c, expected: (row) => row.answer ?? "9000" },
  "P1 22": { form: (c) => ({ ...c, p1: 0x22 }), expected: (row) => row.wrongP1 },
  "P2 33": { form: (c) => ({ ...c, p2: 0x33 }), expected: (row) => row.wrongP2 },
  "other data": {
    form: (c) => c.data.length > 0 ? withoutData(c) : { ...c, data: Uint8Array.of(0x55) },
    expected: (row) => row.otherData,
  },
  "changed": {
    form: (c) => {
      if (c.data.length === 0) return { ...c, data: Uint8Array.of(0x55) };
      const data = c.data.slice();
      data[data.length - 1]! ^= 1;
      return { ...c, data };
    },
    expected: (row) => row.changed,
  },
};

/** In 3/2 GET DATA passes the state and fails on the missing inner channel, whatever it carries (matrix, 7 and 8). */
function exception(state: AppletStateName, row: Row, form: string): string | undefined {
  if (state === "3/2" && row.name.startsWith("GET DATA")) return form.startsWith("P") ? "6A86" : "6F00";
  if (state === "2/3+PIN" && row.name === "SET PIN") return "6985";
  return undefined;
}

async function stateOf(bench: AppletBench): Promise<string> {
  const { lifeCycle, transient } = parseStatus((await bench.channel.send(header(0xf2))).data);
  return `${lifeCycle}/${transient}`;
}

/** States after a success that changes them. */
const AFTER: Readonly<Record<string, string>> = {
  "SET CERTIFICATE": "1/0",
  "SET STATUS": "2/1",
  "SET SEED": "3/4",
  "VERIFY PIN": "3/4",
  "FACTORY RESET": "2/1",
};

Deno.test("the applet answers every command in every form in every state, and ends in the state that it should", async () => {
  let cells = 0;
  for (const state of APPLET_STATES) {
    let bench = await appletIn(state);
    for (const row of ROWS) {
      for (const [formName, { form, expected }] of Object.entries(FORMS)) {
        const taken = row.states.includes(state);
        const wanted = exception(state, row, formName) ?? (taken ? expected(row) : "6985");
        const sw = await statusOf(bench.channel.send(form(row.make(bench.capsuleKeys ?? NO_KEYS))));
        assert.equal(sw, wanted, `${state}: ${row.name}, ${formName}`);
        const after = sw === "9000" ? AFTER[row.name] ?? state.slice(0, 3) : state.slice(0, 3);
        assert.equal(await stateOf(bench), after, `after ${state}: ${row.name}, ${formName}`);
        cells++;
        if (sw === "9000") bench = await appletIn(state);
      }
    }
    for (let ins = 0; ins < 256; ins++) {
      if (ROWS.some((row) => row.make(NO_KEYS).ins === ins) || ins === 0xf2) continue;
      assert.equal(await statusOf(bench.channel.send(header(ins))), "6D00", `${state}: INS ${ins}`);
      cells++;
    }
  }
  console.log(`applet state x command x form: ${cells} cells`);
});

/** How a session came to be, in the order of the columns of SESSION_ANSWERS. */
const SESSIONS = ["none", "initialized", "failed", "00", "01", "03", "11", "13", "33", "dead"] as const;

/** What the applet answers to one of its own commands, bare and with data, by session (d_errors, section 1). */
const SESSION_ANSWERS: Readonly<Record<(typeof SESSIONS)[number], string>> = {
  none: "6F00",
  initialized: "6982",
  failed: "6982",
  "00": "6982",
  "01": "6982",
  "03": "6982",
  "11": "6982",
  "13": "6982",
  "33": "6988",
  dead: "6982",
};

async function bringInto(bench: AppletBench, session: (typeof SESSIONS)[number]): Promise<void> {
  const { raw, select, open } = bench;
  if (session === "none") return await select(fromHex("A0000000624C45444745523031"));
  if (session === "initialized" || session === "failed") {
    assert.match(await raw("80500000080000000000000000"), /9000$/);
    if (session === "failed") assert.equal(await raw("8482330010" + "00".repeat(16)), "BEAF");
  } else if (session === "dead") {
    await open(testKeys(), 0x33, { wireCla: 0x08 });
    assert.equal(await raw("08F2000008" + "00".repeat(8)), "6988");
  } else {
    const level = parseInt(session, 16) as 0x00 | 0x01 | 0x03 | 0x11 | 0x13 | 0x33;
    await open(testKeys(), level, { wireCla: 0x08 });
  }
}

Deno.test("the applet takes its commands at level 33 only, whatever its state", async () => {
  let cells = 0;
  for (const state of APPLET_STATES) {
    for (const session of SESSIONS) {
      const bench = await appletIn(state);
      await bringInto(bench, session);
      for (const row of ROWS) {
        const c = row.make(bench.capsuleKeys ?? NO_KEYS);
        const withData = c.data.length > 0 ? c : { ...c, data: new Uint8Array(8) };
        const sw = (await bench.raw(
          [...encodeCommand(withData)].map((b) => b.toString(16).padStart(2, "0")).join(""),
        ))
          .slice(-4);
        // The first wrong MAC kills the session; from then on it is a dead one.
        const first = row === ROWS[0];
        const wanted = session === "33" && !first ? SESSION_ANSWERS.dead : SESSION_ANSWERS[session];
        assert.equal(sw, wanted, `${state}, session ${session}: ${row.name}`);
        cells++;
      }
      // Other classes never reach the session.
      for (
        const [cla, expected] of [[0x00, "6E00"], [0x0c, "6E00"], [0x80, "6D00"], [0x84, "6D00"]] as const
      ) {
        const answer = await bench.raw(
          [cla, 0xf2, 0, 0].map((b) => b.toString(16).padStart(2, "0")).join(""),
        );
        assert.equal(answer, expected, `${state}, session ${session}: class ${cla}`);
        cells++;
      }
      // GET STATUS answers in any session: clear and a literal 9000, or with R-MAC.
      const status = await bench.raw("08F20000");
      assert.equal(status.slice(-4), "9000", `${state}, session ${session}: GET STATUS`);
      const secured = ["11", "13"].includes(session);
      assert.equal(status.slice(0, 12) === "010433400004", true);
      assert.equal(status.slice(-8) === "90009000", !secured, `${state}, session ${session}`);
      cells++;
    }
  }
  console.log(`applet state x session x command: ${cells} cells`);
});

Deno.test("wrong PINs, tries and wipe", async () => {
  const wrong = Uint8Array.of(9, 9, 9, 9);
  const bench = await appletIn("3/3");
  const keys = bench.capsuleKeys!;
  const verify = (pin: Uint8Array) => statusOf(bench.channel.send(verifyPinCommand(keys, pin, iv())));
  assert.deepEqual([await verify(wrong), await verify(wrong), await verify(wrong)], ["63C2", "63C1", "6983"]);
  assert.equal(await stateOf(bench), "2/1");
  assert.equal(formatStatus((await bench.channel.send(restoreSeedCommand(keys))).sw), "6985");
  assert.equal(bench.store.load()!.instances[0]!.recoveryKey!.seed, null);
  // A lost power between tries gives none back.
  const torn = await appletIn("3/3");
  await torn.channel.send(verifyPinCommand(torn.capsuleKeys!, wrong, iv()));
  torn.card.powerOn();
  assert.equal(torn.store.load()!.instances[0]!.recoveryKey!.pinTriesLeft, 2);
});
