/**
 * Every status of an upgrade session x everything that can be asked of the card, against a table written down here: what
 * is answered, and which status follows. What is refused changes nothing.
 */

import { deepEqual, equal, ok } from "node:assert/strict";
import { fromHex } from "shared/base/bytes.ts";
import { command, type CommandApdu } from "shared/protocol/apdu/command.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import {
  installForExtradition,
  installForInstall,
  installForLoad,
  installForMakeSelectable,
  installForPersonalization,
} from "shared/protocol/gp/install.ts";
import {
  abortUpgrade,
  parseUpgradeAnswer,
  recoverUpgrade,
  resumeUpgrade,
  startUpgrade,
  UPGRADE_STATUS,
  upgradeStatus,
  type UpgradeStatusName,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { setStatusCommand } from "shared/protocol/gp/set_status.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { ISD_AID, RECOVERY_KEY_MODULE_AID, RECOVERY_KEY_PACKAGE_AID } from "./constants.ts";
import { type CardState, decodeCardState, encodeCardState } from "./state.ts";
import type { CardStore } from "./store.ts";
import { storeWith } from "./testing/applet_bench.ts";
import { testKeys } from "./testing/bench.ts";
import { keptOf, loadInUpgrade, PACKAGES, upgradableState, upgradeHost } from "./testing/upgrade_bench.ts";

const PACKAGE = RECOVERY_KEY_PACKAGE_AID;
const OTHER = fromHex("A00000000102");
const NAMES = Object.keys(UPGRADE_STATUS) as UpgradeStatusName[];

/** What is asked. */
const EVENTS = {
  start: startUpgrade(PACKAGE),
  startOther: startUpgrade(OTHER),
  resume: resumeUpgrade(),
  resumeOther: command(0x80, 0xea, 2, 0, startUpgrade(OTHER).data),
  recovery: recoverUpgrade(),
  abort: abortUpgrade(),
  status: upgradeStatus(),
  unknownP1: command(0x80, 0xea, 5, 0),
  zeroP1: command(0x80, 0xea, 0, 0),
  wrongP2: command(0x80, 0xea, 2, 1),
  noData: command(0x80, 0xea, 1, 0),
  badData: command(0x80, 0xea, 1, 0, fromHex("A1044F020102")),
} as const;
type Event = keyof typeof EVENTS | "loadNew" | "loadOld";

/** The answer's status word, or the status that follows. */
type Outcome = UpgradeStatusName | `${"6" | "9"}${string}`;

/** What no status changes. */
const ALWAYS: Partial<Record<Event, Outcome>> = {
  unknownP1: "6A86",
  zeroP1: "6A86",
  wrongP2: "6A86",
  noData: "6A80",
  badData: "6A80",
};
/** With a session that is open: its package may not be named otherwise, and no second one begins. */
const OPEN: Partial<Record<Event, Outcome>> = { ...ALWAYS, start: "6985", startOther: "6985" };
const CLOSED: Partial<Record<Event, Outcome>> = {
  ...ALWAYS,
  start: "6982", // personalized, and no PIN was given
  startOther: "6A88",
  resume: "6985",
  resumeOther: "6985",
  recovery: "6985",
  abort: "6985",
  loadNew: "6985", // the package is there
  loadOld: "6985",
};

const TABLE: Record<UpgradeStatusName, Partial<Record<Event, Outcome>>> = {
  "none": CLOSED,
  "completed": CLOSED,
  "interrupted-saving": {
    ...OPEN,
    resume: "waiting-for-elf",
    resumeOther: "6A88",
    recovery: "6985",
    abort: "none",
    loadNew: "6985",
    loadOld: "6985",
  },
  "interrupted-cleanup": {
    ...OPEN,
    resume: "waiting-for-elf",
    resumeOther: "6A88",
    recovery: "6985",
    abort: "none",
    loadNew: "6985",
    loadOld: "6985",
  },
  "interrupted-delete": {
    ...OPEN,
    resume: "waiting-for-elf",
    resumeOther: "6A88",
    recovery: "6985",
    abort: "6985",
    loadNew: "6985",
    loadOld: "6985",
  },
  "waiting-for-elf": {
    ...OPEN,
    resume: "6985",
    resumeOther: "6985",
    recovery: "waiting-for-elf",
    abort: "6985",
    loadNew: "waiting-for-restore",
    loadOld: "6985",
  },
  "waiting-for-restore": {
    ...OPEN,
    resume: "completed",
    resumeOther: "6A88",
    recovery: "waiting-for-elf",
    abort: "6985",
    loadNew: "6985",
    loadOld: "6985",
  },
  "restore-failed": {
    ...OPEN,
    resume: "restore-failed",
    resumeOther: "6A88",
    recovery: "waiting-for-elf",
    abort: "6985",
    loadNew: "6985",
    loadOld: "6985",
  },
  "interrupted-install": {
    ...OPEN,
    resume: "completed",
    resumeOther: "6A88",
    recovery: "waiting-for-elf",
    abort: "6985",
    loadNew: "6985",
    loadOld: "6985",
  },
  "interrupted-restore": {
    ...OPEN,
    resume: "completed",
    resumeOther: "6A88",
    recovery: "waiting-for-elf",
    abort: "6985",
    loadNew: "6985",
    loadOld: "6985",
  },
  "interrupted-consolidate": {
    ...OPEN,
    resume: "completed",
    resumeOther: "6A88",
    recovery: "6985",
    abort: "6985",
    loadNew: "6985",
    loadOld: "6985",
  },
};

/** A memory that remembers every state that it was given. */
function watchedStore(first: CardState): { store: CardStore; seen: CardState[] } {
  const inner = storeWith(first);
  const seen: CardState[] = [];
  return {
    seen,
    store: {
      ...inner,
      save(state) {
        inner.save(state);
        seen.push(inner.load()!);
      },
    },
  };
}

/** One card in each status, as a real upgrade left it. */
async function statesByStatus(): Promise<Map<UpgradeStatusName, CardState>> {
  const before = await upgradableState();
  const found = new Map<UpgradeStatusName, CardState>([["none", before]]);
  for (const content of [PACKAGES.next, PACKAGES.broken]) {
    const { store, seen } = watchedStore(before);
    const host = await upgradeHost(store);
    await host.authorize();
    const channel = await host.domain();
    equal((await channel.send(startUpgrade(PACKAGE))).sw, 0x9000);
    equal(await loadInUpgrade(channel, content), "9000");
    equal((await channel.send(resumeUpgrade())).sw, 0x9000);
    for (const state of seen) {
      const status = state.upgrade?.status;
      if (status !== undefined && !found.has(status)) found.set(status, state);
    }
  }
  return found;
}

const STATES = statesByStatus();

/** The memory without what every session counts. */
function content(state: CardState): string {
  return encodeCardState({ ...state, domains: state.domains.map((one) => ({ ...one, keySets: [] })) });
}

async function ask(channel: SecureChannel, event: Event): Promise<string> {
  if (event === "loadNew") return await loadInUpgrade(channel, PACKAGES.next);
  if (event === "loadOld") return await loadInUpgrade(channel, PACKAGES.old);
  return formatStatus((await channel.send(EVENTS[event])).sw);
}

Deno.test("every status answers every event as the table says, and what is refused changes nothing", async () => {
  const states = await STATES;
  deepEqual(
    [...states.keys()].sort(),
    [...NAMES].sort(),
    "an upgrade and a failed one pass through each status",
  );
  let cells = 0;
  for (const status of NAMES) {
    const before = states.get(status)!;
    const expected: Partial<Record<Event, Outcome>> = { ...TABLE[status], status };
    const events = [...Object.keys(EVENTS), "loadNew", "loadOld"] as Event[];
    deepEqual(Object.keys(expected).sort(), [...events].sort(), `${status}: the table is whole`);
    for (const event of events) {
      const host = await upgradeHost(storeWith(before));
      const channel = await host.domain();
      const answered = await ask(channel, event);
      const outcome = expected[event]!;
      const follows = outcome in UPGRADE_STATUS ? outcome as UpgradeStatusName : status;
      equal(answered, outcome in UPGRADE_STATUS ? "9000" : outcome, `${status} x ${event}`);
      const { data } = await channel.send(upgradeStatus());
      equal(parseUpgradeAnswer(data).status, follows, `${status} x ${event}: the status that follows`);
      const after = host.store.load()!;
      if (!(outcome in UPGRADE_STATUS)) equal(content(after), content(before), `${status} x ${event}`);
      if (follows === "none" || follows === "completed") {
        deepEqual(keptOf(after), keptOf(states.get("none")!));
      } else {equal(
          after.upgrade!.saved.length + after.instances.length > 0,
          true,
          "the data are on the card",
        );}
      cells++;
    }
  }
  console.log(`upgrade session: ${cells} cells of status x event`);
});

Deno.test("MANAGE ELF UPGRADE needs a session with C-MAC, at the right domain", async () => {
  const states = await STATES;
  for (const status of NAMES) {
    const host = await upgradeHost(storeWith(states.get(status)!));
    for (const event of Object.values(EVENTS)) {
      // No session; then a session at level 00, in which commands go bare.
      equal(formatStatus((await host.transmit(event)).sw), "6982");
      equal(formatStatus((await host.transmit({ ...event, cla: 0x84 })).sw), "6982");
    }
    await host.transmit(selectCommand(ISD_AID));
    await SecureChannel.open({
      transmit: host.transmit,
      keyVersion: 0,
      keys: testKeys(),
      level: 0,
      random: SYSTEM_RANDOM,
    });
    for (const event of Object.values(EVENTS)) equal(formatStatus((await host.transmit(event)).sw), "6982");
    equal(content(host.store.load()!), content(states.get(status)!));
  }
});

/** What would change card content beside the session. */
const HELD: readonly (readonly [string, CommandApdu])[] = [
  ["DELETE of the package", deleteCommand(PACKAGE, { related: true })],
  ["DELETE of the applet", deleteCommand(RECOVERY_KEY_MODULE_AID)],
  ["DELETE of the upgrade domain", deleteCommand(fromHex("A000000151555047"), { related: true })],
  [
    "INSTALL of another instance",
    installForInstall({
      packageAid: PACKAGE,
      moduleAid: RECOVERY_KEY_MODULE_AID,
      instanceAid: fromHex("A0000000624C4547454552303102"),
    }),
  ],
  [
    "INSTALL under the applet's AID",
    installForInstall({
      packageAid: PACKAGE,
      moduleAid: RECOVERY_KEY_MODULE_AID,
      instanceAid: RECOVERY_KEY_MODULE_AID,
    }),
  ],
  ["INSTALL [for make selectable]", installForMakeSelectable({ instanceAid: RECOVERY_KEY_MODULE_AID })],
  ["INSTALL [for personalization]", installForPersonalization(RECOVERY_KEY_MODULE_AID)],
  [
    "INSTALL [for extradition]",
    installForExtradition({ securityDomainAid: fromHex("A000000151555047"), aid: RECOVERY_KEY_MODULE_AID }),
  ],
  ["SET STATUS of the applet", setStatusCommand(0x40, 0x83, RECOVERY_KEY_MODULE_AID)],
];

Deno.test("while a session is open the applet cannot be selected, and nothing changes card content beside it", async () => {
  const states = await STATES;
  for (const status of NAMES) {
    const isOpen = status !== "none" && status !== "completed";
    const host = await upgradeHost(storeWith(states.get(status)!));
    for (const aid of [RECOVERY_KEY_MODULE_AID, RECOVERY_KEY_MODULE_AID.subarray(0, 8)]) {
      equal(formatStatus((await host.transmit(selectCommand(aid))).sw), isOpen ? "6A82" : "9000", status);
    }
    if (!isOpen) continue;
    const isd = await host.domain(ISD_AID);
    for (const [name, held] of HELD) {
      equal(formatStatus((await isd.send(held)).sw), "6985", `${status}: ${name}`);
    }
    const own = await host.domain();
    equal(formatStatus((await own.send(installForLoad({ packageAid: OTHER }))).sw), "6985", status);
    equal(content(host.store.load()!), content(states.get(status)!));
    // The card itself can still be secured: that is no content.
    const again = await host.domain(ISD_AID);
    equal(formatStatus((await again.send(setStatusCommand(0x80, 0x07))).sw), "9000");
    ok(host.card.powered);
  }
});

Deno.test("a session lives in the card's file, and what was written before there were sessions is read", async () => {
  const states = await STATES;
  for (const state of states.values()) {
    deepEqual(decodeCardState(encodeCardState(state)), state);
  }
  const { upgrade: _upgrade, memoryBytes: _memory, ...older } = JSON.parse(
    encodeCardState(states.get("none")!),
  );
  deepEqual(decodeCardState(JSON.stringify(older)), states.get("none"));
});
