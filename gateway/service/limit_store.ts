/** Limit states in memory, bounded: the single-instance store. */

import {
  type ArrivalTime,
  decideLimit,
  isRested,
  type LimitDecision,
  type LimitRule,
} from "../domain/limit.ts";
import type { Clock } from "shared/transport/clock.ts";

/** Most keys that are remembered. */
export const MAX_LIMIT_KEYS = 100_000;

/** Memory of one gateway's limits. */
export class LimitStore {
  #entries = new Map<string, { readonly rule: LimitRule; readonly arrival: ArrivalTime }>();

  constructor(readonly clock: Clock, readonly maxKeys = MAX_LIMIT_KEYS) {}

  get size(): number {
    return this.#entries.size;
  }

  /** Decides on one request of a key and remembers it; undefined when there is no room for another key. */
  take(rule: LimitRule, key: string): LimitDecision | undefined {
    const now = this.clock.monotonic();
    const name = `${rule.name} ${rule.quota} ${rule.windowSeconds} ${key}`;
    const entry = this.#entries.get(name);
    if (entry === undefined && this.#entries.size >= this.maxKeys) {
      this.#forgetRested(now);
      if (this.#entries.size >= this.maxKeys) return undefined;
    }
    const decision = decideLimit(rule, entry?.arrival, now);
    if (decision.arrival !== undefined) this.#entries.set(name, { rule, arrival: decision.arrival });
    return decision;
  }

  #forgetRested(now: number): void {
    for (const [name, { rule, arrival }] of this.#entries) {
      if (isRested(rule, arrival, now)) this.#entries.delete(name);
    }
  }
}
