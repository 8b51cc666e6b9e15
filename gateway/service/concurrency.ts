/** Requests of a key that are being answered at the same time, in this instance. Bounded by the requests that are in flight. */

import type { ConcurrencyRule } from "../domain/rate_rule.ts";

/** A concurrency rule with the key under which a request counts. */
export interface KeyedConcurrency {
  readonly rule: ConcurrencyRule;
  readonly key: string;
}

/** What became of a request: refused by a rule, or counted until `leave`. */
export type ConcurrencyVerdict =
  & { readonly dryRun: readonly string[] }
  & ({ readonly kind: "refuse"; readonly rule: string } | { readonly kind: "pass"; leave(): void });

/** The counters. */
export class Concurrency {
  #counts = new Map<string, number>();

  /** Keys with a request in flight. */
  get size(): number {
    return this.#counts.size;
  }

  /** Counts a request under every rule, or under none when one refuses it. */
  enter(rules: readonly KeyedConcurrency[]): ConcurrencyVerdict {
    const names = rules.map(({ rule, key }) => `${rule.name} ${key}`);
    const full = rules.filter(({ rule }, i) => (this.#counts.get(names[i]!) ?? 0) >= rule.max);
    const dryRun = full.filter(({ rule }) => rule.dryRun).map(({ rule }) => rule.name);
    const refusing = full.find(({ rule }) => !rule.dryRun);
    if (refusing !== undefined) return { kind: "refuse", rule: refusing.rule.name, dryRun };
    for (const name of names) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    let over = false;
    return {
      kind: "pass",
      dryRun,
      leave: () => {
        if (over) return;
        over = true;
        for (const name of names) {
          const left = (this.#counts.get(name) ?? 1) - 1;
          if (left > 0) this.#counts.set(name, left);
          else this.#counts.delete(name);
        }
      },
    };
  }
}
