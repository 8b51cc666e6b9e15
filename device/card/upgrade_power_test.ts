/**
 * Power fails at every APDU of an upgrade, and at every write of the card's memory between its phases: the seed is on the
 * card at each moment, the status says where to go on, and a host that knows nothing but the card brings it to its end.
 */

import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import {
  abortUpgrade,
  recoverUpgrade,
  resumeUpgrade,
  startUpgrade,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { RECOVERY_KEY_PACKAGE_AID } from "./constants.ts";
import { FAULT_KINDS } from "./fault_plan.ts";
import type { CardState } from "./state.ts";
import type { CardStore } from "./store.ts";
import { storeWith } from "./testing/applet_bench.ts";
import {
  keptOf,
  loadInUpgrade,
  PACKAGES,
  Removed,
  statusOfUpgrade,
  upgradableState,
  type UpgradeHost,
  upgradeHost,
  upgradeTo,
} from "./testing/upgrade_bench.ts";

const PACKAGE = RECOVERY_KEY_PACKAGE_AID;

/** Applications of the card, or their saved data while they are deleted: whole at every moment. */
function assertWhole(state: CardState, before: CardState): void {
  const { upgrade } = state;
  const saved = upgrade === null || upgrade.saved.length === 0 ? undefined : upgrade.saved;
  const kept = keptOf({ ...state, instances: saved ?? state.instances });
  deepEqual(kept, keptOf(before));
}

function assertUpgraded(state: CardState, before: CardState, minor = 1): void {
  deepEqual(keptOf(state), keptOf(before));
  deepEqual(state.instances[0]!.recoveryKey!.version, { major: 1, minor });
  deepEqual(state.packages.map(({ version }) => version), [{ major: 1, minor }]);
  deepEqual(state.upgrade?.saved, []);
}

Deno.test("the card pulled at every APDU of an upgrade, in each way: one more try and it is at the new version", async () => {
  const before = await upgradableState();
  const clean = await upgradeHost(storeWith(before));
  await upgradeTo(clean, PACKAGES.next);
  const { apdus } = clean.presentation.stats;
  let cuts = 0;
  for (let index = 0; index < apdus; index++) {
    for (const kind of FAULT_KINDS) {
      const host = await upgradeHost(storeWith(before), [{ kind, index }]);
      try {
        await upgradeTo(host, PACKAGES.next);
        equal(index === apdus - 1 && kind === "after-answer", true, `${kind} ${index}: nothing was cut`);
      } catch (error) {
        // After the answer the host notices at the next command.
        ok(error instanceof Removed || /no power/.test(String(error)), String(error));
      }
      host.card.close();
      assertWhole(host.store.load()!, before);
      await upgradeTo(await upgradeHost(host.store), PACKAGES.next);
      assertUpgraded(host.store.load()!, before);
      cuts++;
    }
  }
  console.log(`upgrade: ${apdus} APDUs, cut ${cuts} times, ${cuts} cards at the new version`);
});

/** A memory that fails at one write: just before it, or just after. */
class FailingStore implements CardStore {
  readonly #inner: CardStore;
  writes = 0;
  failAt = -1;
  committed = false;

  constructor(first: CardState) {
    this.#inner = storeWith(first);
  }

  load(): CardState | undefined {
    return this.#inner.load();
  }

  save(state: CardState): void {
    const fails = this.writes++ === this.failAt;
    if (!fails || this.committed) this.#inner.save(state);
    if (fails) throw new Error("power lost");
  }

  close(): void {}
}

/** Runs until the memory fails; whether it did. */
async function runUntilCut(host: UpgradeHost, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    ok(/power lost|no power/.test(String(error)), String(error));
    equal(host.card.powered, false, "the chip is silent");
    return true;
  } finally {
    host.card.close();
  }
}

/** Each write of the card from start to the end, with the status that a loss of power right after it leaves. */
const WRITES_OF_START = [
  "interrupted-saving",
  "interrupted-cleanup",
  "interrupted-delete",
  "waiting-for-elf",
];
const WRITES_OF_RESUME = [
  "interrupted-install",
  "interrupted-restore",
  "interrupted-consolidate",
  "completed",
];

Deno.test("a loss of power between any two phases leaves the status of the phase that was to run", async () => {
  const before = await upgradableState("2");
  for (
    const [writes, first] of [[WRITES_OF_START, "none"], [WRITES_OF_RESUME, "waiting-for-restore"]] as const
  ) {
    for (let at = 0; at < writes.length; at++) {
      for (const committed of [false, true]) {
        const store = new FailingStore(before);
        const host = await upgradeHost(store);
        const channel = await host.domain();
        if (first !== "none") {
          equal((await channel.send(startUpgrade(PACKAGE))).sw, 0x9000);
          equal(await loadInUpgrade(channel, PACKAGES.next), "9000");
        }
        store.failAt = store.writes + at;
        store.committed = committed;
        const event = first === "none" ? startUpgrade(PACKAGE) : resumeUpgrade();
        const wasCut = await runUntilCut(host, async () => void await channel.send(event));
        equal(wasCut, true, `write ${at} of ${first}`);
        assertWhole(store.load()!, before);
        const again = await upgradeHost(store);
        const expected = committed ? writes[at] : at === 0 ? first : writes[at - 1];
        equal(await statusOfUpgrade(await again.domain()), expected);
        await upgradeTo(again, PACKAGES.next);
        assertUpgraded(store.load()!, before);
      }
    }
  }
});

Deno.test("power fails twice, at any two writes of an upgrade or of its recovery, and the third try ends it", async () => {
  const before = await upgradableState("2");
  let runs = 0;
  for (const content of [PACKAGES.next, PACKAGES.broken]) {
    const minor = content === PACKAGES.next ? 1 : 0;
    const finished = (state: CardState) => {
      deepEqual(keptOf(state), keptOf(before));
      if (minor === 1) assertUpgraded(state, before);
      else if (state.upgrade?.status === "completed") assertUpgraded(state, before, 0);
    };
    const count = async () => {
      const store = new FailingStore(before);
      await upgradeOrRecover(await upgradeHost(store), content);
      return store.writes;
    };
    const writes = await count();
    for (let first = 0; first < writes; first++) {
      for (let second = 0; second < writes; second++) {
        const store = new FailingStore(before);
        store.committed = (first + second) % 2 === 0;
        store.failAt = first;
        let host = await upgradeHost(store);
        await runUntilCut(host, () => upgradeOrRecover(host, content));
        assertWhole(store.load()!, before);
        store.failAt = store.writes + second;
        host = await upgradeHost(store);
        const cutAgain = await runUntilCut(host, () => upgradeOrRecover(host, content));
        assertWhole(store.load()!, before);
        if (cutAgain) {
          store.failAt = -1;
          host = await upgradeHost(store);
          await upgradeOrRecover(host, content);
        }
        finished(store.load()!);
        runs++;
      }
    }
  }
  console.log(`upgrade: power lost twice in ${runs} ways, the data whole each time`);
});

/** Upgrades; a package that the applet refuses is taken back for the old one. */
async function upgradeOrRecover(host: UpgradeHost, content: Uint8Array): Promise<void> {
  const state = host.store.load()!;
  // A host remembers that it has given a package up.
  const isGivenUp = state.upgrade?.recovery === true || state.upgrade?.status === "restore-failed";
  if (isGivenUp && content === PACKAGES.broken) {
    const channel = await host.domain();
    if (await statusOfUpgrade(channel) === "restore-failed") {
      equal((await channel.send(recoverUpgrade())).sw, 0x9000);
    }
    return await upgradeTo(host, PACKAGES.old);
  }
  await upgradeTo(host, content);
}

/** What anybody with the upgrade keys can do to a card, in any order. */
const ACTS = {
  start: startUpgrade(PACKAGE),
  resume: resumeUpgrade(),
  recovery: recoverUpgrade(),
  abort: abortUpgrade(),
} as const;
const act = fc.constantFrom(
  ...(Object.keys(ACTS) as (keyof typeof ACTS)[]),
  "load new" as const,
  "load old" as const,
  "load broken" as const,
  "power" as const,
);

Deno.test("whatever is asked in whatever order, with power lost at any write: the data are whole and an upgrade can end", async () => {
  const before = await upgradableState("2");
  const steps = fc.array(fc.tuple(act, fc.option(fc.nat({ max: 5 }), { freq: 6 })), { maxLength: 14 });
  await fc.assert(
    fc.asyncProperty(steps, async (walk) => {
      const store = new FailingStore(before);
      let host = await upgradeHost(store);
      let channel = await host.domain();
      for (const [name, cutAfter] of walk) {
        store.failAt = cutAfter === null ? -1 : store.writes + cutAfter;
        try {
          if (name === "power") throw new Error("power lost");
          if (name === "load new") await loadInUpgrade(channel, PACKAGES.next);
          else if (name === "load old") await loadInUpgrade(channel, PACKAGES.old);
          else if (name === "load broken") await loadInUpgrade(channel, PACKAGES.broken);
          else await channel.send(ACTS[name]);
        } catch (error) {
          ok(/power lost|no power/.test(String(error)), String(error));
          store.failAt = -1;
          host.card.close();
          host = await upgradeHost(store);
          channel = await host.domain();
        }
        store.failAt = -1;
        assertWhole(store.load()!, before);
      }
      await upgradeTo(host, PACKAGES.next);
      deepEqual(keptOf(store.load()!), keptOf(before));
    }),
    { numRuns: 150 },
  );
});
