/** Limit states in memory, bounded: the single-instance store, and what counts when the shared one is gone. */

import {
  type ArrivalTime,
  decideLimit,
  isRested,
  type LimitDecision,
  type LimitRule,
  standingNow,
} from "../domain/limit.ts";
import type { KeyedRule, RateRule } from "../domain/rate_rule.ts";
import type { Clock } from "shared/transport/clock.ts";

/** Most keys that are remembered. */
export const MAX_LIMIT_KEYS = 100_000;
/** A store that is full looks for keys to forget this often at most: the look costs some milliseconds. */
const SWEEP_MS = 1_000;

/** Name of a rule's key in a store: a rule that changes begins anew. */
export function stateName(
  { rule, key, name }: { readonly rule: LimitRule; readonly key: string; readonly name?: string },
): string {
  if (name !== undefined) return name;
  let prefix = prefixes.get(rule);
  if (prefix === undefined) {
    prefix = `${rule.name} ${rule.quota}/${rule.windowSeconds}/${rule.burst} `;
    prefixes.set(rule, prefix);
  }
  return prefix + key;
}

/** Numbers are written out once for each rule. */
const prefixes = new WeakMap<LimitRule, string>();

/** A store that instances share. One round trip decides on all rules of a request. */
export interface SharedLimitStore {
  /**
   * Decides on one request: it counts under every rule, or, when a rule that is no dry run refuses it, under none.
   * @returns One decision for each rule, in order; undefined when the store cannot be asked.
   */
  take(rules: readonly KeyedRule[]): Promise<readonly LimitDecision[] | undefined>;
  close(): void;
}

const enforced = (rule: LimitRule): RateRule => ({ ...rule, by: [], dryRun: false, whenStoreGone: "refuse" });

/** State of one key; written in place, because a new object for each request would outlive its youth in the heap. */
interface Entry {
  rule: RateRule;
  arrival: ArrivalTime;
}

/** Memory of one gateway's limits. */
export class LimitStore {
  #entries = new Map<string, Entry>();
  #sweptAt = -Infinity;

  constructor(readonly clock: Clock, readonly maxKeys = MAX_LIMIT_KEYS) {}

  get size(): number {
    return this.#entries.size;
  }

  /** As `SharedLimitStore.take`; undefined when there is no room for the keys. */
  take(rules: readonly KeyedRule[]): LimitDecision[] | undefined {
    const now = this.clock.monotonic();
    const names = rules.map(stateName);
    const entries = names.map((name) => this.#entries.get(name));
    let fresh = 0;
    for (const entry of entries) if (entry === undefined) fresh++;
    if (!this.#hasRoom(fresh, now)) return undefined;
    const decisions = rules.map(({ rule }, i) => decideLimit(rule, entries[i]?.arrival, now));
    if (!rules.every(({ rule }, i) => rule.dryRun || decisions[i]!.allowed)) {
      return decisions.map((decision, i) => ({
        ...decision,
        ...standingNow(rules[i]!.rule, entries[i]?.arrival, now),
      }));
    }
    for (let i = 0; i < rules.length; i++) {
      const { arrival } = decisions[i]!;
      if (arrival === undefined) continue;
      const entry = entries[i];
      if (entry === undefined) this.#entries.set(names[i]!, { rule: rules[i]!.rule, arrival });
      else {
        entry.rule = rules[i]!.rule;
        entry.arrival = arrival;
      }
    }
    return decisions;
  }

  /** Decides on one request under one rule that refuses; undefined when there is no room for the key. */
  takeOne(rule: LimitRule, key: string): LimitDecision | undefined {
    return this.take([{ rule: enforced(rule), key }])?.[0];
  }

  /** Whether one more request of a key would be allowed; counts nothing. */
  wouldAllow(rule: LimitRule, key: string): boolean {
    const arrival = this.#entries.get(stateName({ rule, key }))?.arrival;
    return arrival === undefined || decideLimit(rule, arrival, this.clock.monotonic()).allowed;
  }

  #hasRoom(wanted: number, now: number): boolean {
    if (this.#entries.size + wanted <= this.maxKeys) return true;
    if (now - this.#sweptAt < SWEEP_MS) return false;
    this.#sweptAt = now;
    for (const [name, { rule, arrival }] of this.#entries) {
      if (isRested(rule, arrival, now)) this.#entries.delete(name);
    }
    return this.#entries.size + wanted <= this.maxKeys;
  }
}
