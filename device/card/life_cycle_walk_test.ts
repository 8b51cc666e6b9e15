/** Card life cycle x GlobalPlatform command, and session x command, walked completely. GPC 2.3.1, table 11-1, figure 5-1. */

import assert from "node:assert/strict";
import { fromHex } from "shared/base/bytes.ts";
import { command, type CommandApdu } from "shared/protocol/apdu/command.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { getStatusCommand } from "shared/protocol/gp/get_status.ts";
import {
  installForExtradition,
  installForLoad,
  installForPersonalization,
} from "shared/protocol/gp/install.ts";
import { putKeyCommand } from "shared/protocol/gp/put_key.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { setStatusCommand } from "shared/protocol/gp/set_status.ts";
import type { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import {
  CARD_LIFE_CYCLE,
  type CardLifeCycleName,
  ISD_AID,
  RECOVERY_KEY_MODULE_AID,
  RECOVERY_KEY_PACKAGE_AID,
  SSD_AID,
} from "./constants.ts";
import {
  type CardBench,
  cardBench,
  installDomain,
  keySet,
  loadCap,
  ok,
  statusOf,
  testKeys,
} from "./testing/bench.ts";

const PRELOADED = { package: {}, instance: {}, ssd: {} } as const;
const OTHER = fromHex("D000000001");
const STATES: readonly CardLifeCycleName[] = ["OP_READY", "INITIALIZED", "SECURED", "LOCKED", "TERMINATED"];

/** A command in an open session. */
type Managing = (channel: SecureChannel) => CommandApdu;
const MANAGING: Readonly<Record<string, Managing>> = {
  "GET STATUS": () => getStatusCommand(0x80),
  "SET STATUS of an application": () => setStatusCommand(0x40, 0x80, RECOVERY_KEY_MODULE_AID),
  "INSTALL [for load]": () => installForLoad({ packageAid: OTHER }),
  "INSTALL [for install]": () => installDomain(OTHER),
  "INSTALL [for extradition]": () =>
    installForExtradition({ securityDomainAid: SSD_AID, aid: RECOVERY_KEY_MODULE_AID }),
  "INSTALL [for personalization]": () => installForPersonalization(RECOVERY_KEY_MODULE_AID),
  "DELETE": () => deleteCommand(RECOVERY_KEY_PACKAGE_AID, { related: true }),
  "PUT KEY": (channel) =>
    putKeyCommand({
      newVersion: 1,
      keys: keySet("5A".repeat(16)),
      encryptWithDek: (data) => channel.encryptWithDek(data),
    }),
  "STORE DATA": () => command(0x80, 0xe2, 0x90, 0, fromHex("4201AA")),
  "unknown instruction": () => command(0x80, 0xfe, 0, 0),
};

/** Status words by life cycle: OP_READY, INITIALIZED, SECURED, CARD_LOCKED, TERMINATED. */
const PLAIN: readonly (readonly [string, CommandApdu, readonly string[]])[] = [
  ["SELECT ISD", selectCommand(ISD_AID), ["9000", "9000", "9000", "6283", "6985"]],
  ["SELECT applet", selectCommand(RECOVERY_KEY_MODULE_AID), ["9000", "9000", "9000", "6A81", "6985"]],
  ["SELECT nothing known", selectCommand(OTHER), ["6A82", "6A82", "6A82", "6A81", "6985"]],
  ["MANAGE CHANNEL", command(0x00, 0x70, 0, 0, undefined, 1), ["6881", "6881", "6881", "6881", "6985"]],
  ["GET DATA CPLC", command(0x80, 0xca, 0x9f, 0x7f, undefined, 256), Array(5).fill("9000")],
  ["GET DATA unknown", command(0x80, 0xca, 0x12, 0x34, undefined, 256), Array(5).fill("6A88")],
  ["INITIALIZE UPDATE", command(0x80, 0x50, 0, 0, new Uint8Array(8), 256), [
    "9000",
    "9000",
    "9000",
    "9000",
    "6985",
  ]],
  ["EXTERNAL AUTHENTICATE alone", command(0x84, 0x82, 0x33, 0, new Uint8Array(16)), Array(5).fill("6985")],
  ["GET STATUS bare", getStatusCommand(0x80), ["6982", "6982", "6982", "6982", "6985"]],
  ["unknown instruction", command(0x80, 0xfe, 0, 0), ["6D00", "6D00", "6D00", "6D00", "6985"]],
  ["unknown class", command(0xb0, 0xca, 0x9f, 0x7f), ["6E00", "6E00", "6E00", "6E00", "6E00"]],
];

const CONTENT = ["9000", "9000", "9000", "6985", "-"];
const MANAGED: Readonly<Record<keyof typeof MANAGING, readonly string[]>> = {
  "GET STATUS": ["9000", "9000", "9000", "9000", "-"],
  "SET STATUS of an application": ["9000", "9000", "9000", "9000", "-"],
  "INSTALL [for load]": CONTENT,
  "INSTALL [for install]": CONTENT,
  "INSTALL [for extradition]": CONTENT,
  "INSTALL [for personalization]": CONTENT,
  "DELETE": CONTENT,
  "PUT KEY": CONTENT,
  "STORE DATA": CONTENT,
  "unknown instruction": ["6D00", "6D00", "6D00", "6D00", "-"],
};

/** Rows: from; columns: to, in the order of `STATES`. Figure 5-1. */
const TRANSITIONS = [
  ["6985", "9000", "6985", "6985", "9000"],
  ["6985", "6985", "9000", "6985", "9000"],
  ["6985", "6985", "6985", "9000", "9000"],
  ["6985", "6985", "9000", "6985", "9000"],
];

Deno.test("VirtualCard answers every command in every card life cycle", async () => {
  let cells = 0;
  for (const [column, lifeCycle] of STATES.entries()) {
    const bench = () => cardBench({ lifeCycle, preloaded: PRELOADED });
    for (const [name, c, expected] of PLAIN) {
      // A terminated card looks at GET DATA alone.
      assert.equal(await statusOf((await bench()).transmit(c)), expected[column], `${lifeCycle}: ${name}`);
      cells++;
    }
    if (lifeCycle === "TERMINATED") continue;
    for (const [name, make] of Object.entries(MANAGING)) {
      for (const level of [0x00, 0x01, 0x33] as const) {
        const channel = await (await bench()).open(testKeys(), level);
        assert.equal(
          await statusOf(channel.send(make(channel))),
          MANAGED[name]![column],
          `${lifeCycle}: ${name}`,
        );
        cells++;
      }
    }
    for (const [to, next] of STATES.entries()) {
      const one = await bench();
      const channel = await one.open();
      const sw = await statusOf(channel.send(setStatusCommand(0x80, CARD_LIFE_CYCLE[next])));
      assert.equal(sw, TRANSITIONS[column]![to], `${lifeCycle} -> ${next}`);
      cells++;
      if (sw !== "9000") continue;
      // The state outlives power, and the new column holds from the next command on.
      one.card.powerOn();
      assert.equal(await statusOf(one.transmit(selectCommand(RECOVERY_KEY_MODULE_AID))), PLAIN[1]![2][to]);
    }
    const channel = await (await bench()).open();
    for (let value = 0; value < 256; value++) {
      if (Object.values(CARD_LIFE_CYCLE).some((known) => known === value)) continue;
      assert.equal(await statusOf(channel.send(command(0x80, 0xf0, 0x80, value))), "6985", `to ${value}`);
      cells++;
    }
  }
  console.log(`card life cycle x command: ${cells} cells`);
});

Deno.test("a load that is running ends when the card is locked", async () => {
  const bench = await cardBench({ lifeCycle: "SECURED" });
  const channel = await bench.open();
  await ok(channel.send(installForLoad({ packageAid: RECOVERY_KEY_PACKAGE_AID })));
  await ok(channel.send(setStatusCommand(0x80, CARD_LIFE_CYCLE.LOCKED)));
  assert.equal(await statusOf(channel.send(command(0x80, 0xe8, 0, 0, Uint8Array.of(1)))), "6985");
  await ok(channel.send(setStatusCommand(0x80, CARD_LIFE_CYCLE.SECURED)));
  assert.equal(await loadCap(channel, writeTestCap()), "9000");
});

Deno.test("a domain with the privilege locks and terminates the card, and cannot unlock it", async () => {
  const bench = await cardBench({ lifeCycle: "SECURED" });
  await ok((await bench.issuer()).send(installDomain(OTHER, 0x980000)));
  await bench.select(OTHER);
  let channel = await bench.open();
  assert.equal(await statusOf(channel.send(setStatusCommand(0x80, CARD_LIFE_CYCLE.SECURED))), "6985");
  await ok(channel.send(setStatusCommand(0x80, CARD_LIFE_CYCLE.LOCKED)));
  assert.equal(
    await statusOf(channel.send(getStatusCommand(0x80))),
    "6982",
    "the issuer domain is selected now",
  );
  assert.equal(await statusOf(bench.transmit(selectCommand(OTHER))), "6A81");
  channel = await bench.open();
  await ok(channel.send(setStatusCommand(0x80, CARD_LIFE_CYCLE.SECURED)));
  await bench.select(OTHER);
  channel = await bench.open();
  await ok(channel.send(setStatusCommand(0x80, CARD_LIFE_CYCLE.TERMINATED)));
  bench.card.powerOn();
  assert.equal((await bench.raw("80CA9F7F00")).slice(-4), "9000");
  assert.equal((await bench.raw("00A4040000")).slice(-4), "6985");
});

/** Brings a channel into a condition; what is sent through it then, and whether the card takes it. */
const CONDITIONS: readonly {
  readonly name: string;
  readonly taken: boolean;
  readonly send: (bench: CardBench, make: Managing) => Promise<string>;
}[] = [
  { name: "none", taken: false, send: (bench, make) => bareOf(bench, make) },
  {
    name: "initialized",
    taken: false,
    async send(bench, make) {
      await bench.transmit(command(0x80, 0x50, 0, 0, new Uint8Array(8), 256));
      return await bareOf(bench, make);
    },
  },
  {
    name: "failed",
    taken: false,
    async send(bench, make) {
      await bench.transmit(command(0x80, 0x50, 0, 0, new Uint8Array(8), 256));
      assert.equal(await statusOf(bench.transmit(command(0x84, 0x82, 1, 0, new Uint8Array(16)))), "6300");
      return await bareOf(bench, make);
    },
  },
  ...([0x00, 0x01, 0x03, 0x11, 0x13, 0x33] as const).map((level) => ({
    name: `open at ${level.toString(16)}`,
    taken: true,
    send: async (bench: CardBench, make: Managing) => {
      const channel = await bench.open(testKeys(), level);
      return await statusOf(channel.send(make(channel)));
    },
  })),
  ...([0x01, 0x33] as const).map((level) => ({
    name: `open at ${level.toString(16)}, sent bare`,
    taken: false,
    send: async (bench: CardBench, make: Managing) => {
      await bench.open(testKeys(), level);
      return await bareOf(bench, make);
    },
  })),
  {
    name: "dead",
    taken: false,
    async send(bench, make) {
      await bench.open();
      assert.equal(await statusOf(bench.transmit(command(0x84, 0xf2, 0x80, 2, new Uint8Array(8)))), "6988");
      return await bareOf(bench, make);
    },
  },
];

/** Without a channel: PUT KEY then carries nothing sensible, which nobody looks at. */
async function bareOf(bench: CardBench, make: Managing): Promise<string> {
  const noChannel = { encryptWithDek: (data: Uint8Array) => data } as SecureChannel;
  return formatStatus((await bench.transmit(make(noChannel))).sw);
}

Deno.test("VirtualCard takes managing commands in every session that is open, and in no other", async () => {
  let cells = 0;
  for (const { name: condition, taken, send } of CONDITIONS) {
    for (const [name, make] of Object.entries(MANAGING)) {
      const bench = await cardBench({ preloaded: PRELOADED });
      const expected = name === "unknown instruction" ? "6D00" : taken ? "9000" : "6982";
      assert.equal(await send(bench, make), expected, `${condition}: ${name}`);
      cells++;
    }
  }
  console.log(`session x command: ${cells} cells`);
});
