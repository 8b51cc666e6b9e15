/** One flow with something killed at one of its commits; what is left of it then, and after one retry. */

import { equalConstantTime } from "shared/base/bytes.ts";
import type { CompanionFlow } from "shared/protocol/wire/recover_session.ts";
import type { TestDevice } from "tests/recover/device.ts";
import type { CommitEvent, CommitSide } from "./commit_proxy.ts";
import type { FlowEnd, FlowRequest, RecoverFlows } from "./recover_flows.ts";
import { type CrashVictim, isInstance, type RecoverSpine, serviceOf } from "./recover_spine.ts";
import type { Chance } from "./seed.ts";

/** Flows, in the order in which a seed lives through them. */
export const FLOWS = ["backup", "restore", "delete"] as const satisfies readonly CompanionFlow[];
/** One of {@link FLOWS}. */
export type Flow = (typeof FLOWS)[number];

/** A commit of a flow: the Nth, from 1, by which a service writes. */
export interface CommitPoint {
  readonly flow: Flow;
  /** `orchestrator`, `provider-1` and so on. */
  readonly service: string;
  readonly commit: number;
}

/** Something dies at a commit. */
export interface CrashPoint extends CommitPoint {
  readonly side: CommitSide;
  readonly victim: CrashVictim;
  /** The companion dies too: nobody repeats anything, and what was begun is for the sweep. */
  readonly isCompanionGone: boolean;
}

/** What is left at the three providers, or in the wallet, once everything runs again and no session is open. */
export type Left = "complete" | "absent" | "half";

/** What became of a point. */
export interface CrashOutcome {
  readonly left: Left;
  /** A stored backup, or the seed, is not what it was. */
  readonly isLost: boolean;
  readonly isCompleteAfterRetry: boolean;
  /** What is not as it must be. */
  readonly faults: readonly string[];
}

/** Times that what is not under test is tried: a gateway may still think that an instance is away. */
const TRIES = 3;
/** Bytes of entropy for 12, 18 and 24 words. */
const ENTROPY_LENGTHS = [16, 24, 32] as const;
/** One backup of so many is restored, not only deleted, to prove that it is there. */
const RESTORED_ONE_OF = 8;

/** Words for a person. */
export function nameOf({ flow, service, commit, side, victim, isCompanionGone }: CrashPoint): string {
  return `${flow}: ${victim} killed ${side} commit ${commit} of ${service}${
    isCompanionGone ? ", and the companion" : ""
  }`;
}

/** Strikes points of one spine, one after the other. */
export class Crasher {
  readonly #recover: RecoverSpine;
  readonly #flows: RecoverFlows;
  readonly #chance: Chance;

  constructor(recover: RecoverSpine, flows: RecoverFlows, chance: Chance) {
    this.#recover = recover;
    this.#flows = flows;
    this.#chance = chance;
  }

  /** Lives a seed's life undisturbed and returns each commit by which a service wrote. */
  async record(): Promise<CommitPoint[]> {
    const points: CommitPoint[] = [];
    const owner = this.#owner();
    let backupId = "";
    for (const flow of FLOWS) {
      const counts = new Map<string, number>();
      this.#recover.onCommit(({ side, who, writes }) => {
        if (side === "before" && writes && isInstance(who)) {
          counts.set(serviceOf(who), (counts.get(serviceOf(who)) ?? 0) + 1);
        }
        return true;
      });
      const device = flow === "restore" ? this.#flows.wallet() : owner;
      const end = await this.#flows.run(device, flow === "backup" ? { flow } : { flow, backupId });
      this.#recover.onCommit(() => true);
      if (end.error !== undefined) throw end.error;
      backupId = end.backupId!;
      for (const [service, count] of [...counts].sort()) {
        for (let commit = 1; commit <= count; commit++) points.push({ flow, service, commit });
      }
    }
    return points;
  }

  /** Strikes a point, and sees what is left. */
  async strike(point: CrashPoint): Promise<CrashOutcome> {
    const owner = this.#owner();
    const entropy = owner.entropy()!;
    const request: FlowRequest = point.flow === "backup"
      ? { flow: "backup" }
      : { flow: point.flow, backupId: await this.#surely(owner, { flow: "backup" }) };
    const device = point.flow === "restore" ? this.#flows.wallet() : owner;
    const before = await this.#recover.rows();
    const { end, happened } = await this.#struck(point, device, request);
    const faults: string[] = [];
    if (!happened) faults.push("it did not happen");
    if (!await this.#recover.settled()) faults.push("a session stays open");
    const left = await this.#left(point.flow, device, before);
    if (left === "half") {
      faults.push(`half is left: ${before.join()} rows, then ${(await this.#recover.rows()).join()}`);
    }
    if (end.error === undefined && left !== "complete") faults.push(`its companion was told that it is done`);
    let backupId = request.flow === "backup" ? end.backupId : request.backupId;
    let isCompleteAfterRetry = left === "complete";
    if (left !== "complete") {
      await this.#recover.ready();
      const again = await this.#flows.run(device, request);
      isCompleteAfterRetry = again.error === undefined;
      if (!isCompleteAfterRetry) faults.push(`the retry fails: ${messageOf(again.error)}`);
      if (request.flow === "backup") backupId = again.backupId;
    }
    const isLost = !await this.#isWhole(point.flow, owner, device, entropy, backupId);
    if (isLost) faults.push("what was stored, or the seed, is not what it was");
    return { left, isLost, isCompleteAfterRetry, faults };
  }

  async #struck(
    point: CrashPoint,
    device: TestDevice,
    request: FlowRequest,
  ): Promise<{ end: FlowEnd; happened: boolean }> {
    const { service, commit, side, victim, isCompanionGone } = point;
    const gone = new AbortController();
    let count = 0;
    let killed: Promise<void> | undefined;
    this.#recover.onCommit(async (event: CommitEvent) => {
      if (!event.writes || event.side !== side || serviceOf(event.who) !== service) return true;
      if (killed !== undefined || ++count !== commit) return true;
      const dead = this.#recover.kill(victim, event.who);
      if (isCompanionGone) gone.abort();
      killed = dead.then(() => this.#recover.revive());
      // The caller waits for it too, and must hear of a failure first.
      killed.catch(() => {});
      await dead;
      // What died took its unsent COMMIT along; that of a node behind dead gateways is sent all the same.
      return side === "after" || victim === "gateways" || victim === "vault";
    });
    const end = await this.#flows.run(device, request, gone.signal);
    this.#recover.onCommit(() => true);
    await killed;
    return { end, happened: killed !== undefined };
  }

  async #left(flow: Flow, device: TestDevice, before: readonly number[]): Promise<Left> {
    const changes = (await this.#recover.rows()).map((rows, i) => rows - before[i]!);
    const all = (change: number) => changes.every((each) => each === change);
    if (flow === "restore") return !all(0) ? "half" : device.entropy() === undefined ? "absent" : "complete";
    return all(0) ? "absent" : all(flow === "backup" ? 1 : -1) ? "complete" : "half";
  }

  /** Whether the seed and what is stored are whole; a backup that is left is deleted by its owner, which all three must allow. */
  async #isWhole(
    flow: Flow,
    owner: TestDevice,
    device: TestDevice,
    entropy: Uint8Array,
    backupId: string | undefined,
  ): Promise<boolean> {
    const isSame = (held: Uint8Array | undefined) => held !== undefined && equalConstantTime(held, entropy);
    const isEmptyStill = device !== owner && device.entropy() === undefined;
    if (!isSame(owner.entropy()) || !(isEmptyStill || isSame(device.entropy()))) return false;
    if (flow === "delete") return true;
    if (backupId === undefined) return false;
    try {
      if (flow === "backup" && this.#chance.below(RESTORED_ONE_OF) === 0) {
        const other = this.#flows.wallet();
        await this.#surely(other, { flow: "restore", backupId, avoid: 1 + this.#chance.below(3) });
        if (!isSame(other.entropy())) return false;
      }
      await this.#surely(owner, { flow: "delete", backupId });
      return true;
    } catch {
      return false;
    }
  }

  /** A flow that nothing disturbs. @returns the backup's number. */
  async #surely(device: TestDevice, request: FlowRequest): Promise<string> {
    for (let left = TRIES;; left--) {
      const { backupId, error } = await this.#flows.run(device, request);
      if (error === undefined) return backupId!;
      if (left === 1) throw error;
      await this.#recover.ready();
      await this.#recover.settled();
    }
  }

  #owner(): TestDevice {
    return this.#flows.wallet(this.#chance.bytes(this.#chance.pick(ENTROPY_LENGTHS)));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
