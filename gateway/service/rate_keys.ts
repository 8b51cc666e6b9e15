/**
 * The keys under which the requests of one connection count. Its identity, address and route are nearly always those of the request
 * before: keys are put together, and looked up, as texts that were made before.
 */

import { type KeyedRule, type KeyFacts, keyOf, type RateRule } from "../domain/rate_rule.ts";
import { stateName } from "./limit_store.ts";

/** Those of the last request. */
export class RateKeys {
  #rules: readonly RateRule[] | undefined;
  #facts: KeyFacts | undefined;
  #keyed: readonly KeyedRule[] = [];

  /** The rules of a route with the keys of a request. */
  of(rules: readonly RateRule[], facts: KeyFacts): readonly KeyedRule[] {
    if (this.#rules === rules && this.#facts !== undefined && areSame(this.#facts, facts)) return this.#keyed;
    this.#rules = rules;
    this.#facts = facts;
    return this.#keyed = rules.map((rule) => {
      const key = keyOf(rule.by, facts);
      return { rule, key, name: stateName({ rule, key }) };
    });
  }
}

function areSame(a: KeyFacts, b: KeyFacts): boolean {
  return a.identity === b.identity && a.address === b.address && a.route === b.route && a.backup === b.backup;
}
