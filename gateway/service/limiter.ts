/** Decides on the rate rules of a request, by the shared store or this instance's memory, as each rule says when that is gone. */

import { type LimitDecision, limitHeaders, type RuleDecision } from "../domain/limit.ts";
import type { KeyedRule } from "../domain/rate_rule.ts";
import { type Refusal, refuse } from "../domain/refusals.ts";
import type { LimitStore, SharedLimitStore } from "./limit_store.ts";

/** What became of a request. */
export type LimitVerdict = (Refusal | { readonly kind: "pass" }) & {
  /** RateLimit fields, of rules that are no dry run. */
  readonly headers: Readonly<Record<string, string>>;
  /** Rules that refused, by name: of those in `kind: pass` each is a dry run. */
  readonly fired: readonly string[];
  /** Dry-run rules that would have refused. */
  readonly dryRun: readonly string[];
};

const NOTHING = { headers: {}, fired: [], dryRun: [] } as const;

/** The limiter of one gateway. */
export class Limiter {
  constructor(readonly memory: LimitStore, readonly shared?: SharedLimitStore) {}

  /** Decides on one request and counts it. Without rules, or without a shared store, at once. */
  decide(rules: readonly KeyedRule[]): LimitVerdict | Promise<LimitVerdict> {
    if (rules.length === 0) return { kind: "pass", ...NOTHING };
    return this.shared === undefined ? this.#alone(rules) : this.#together(rules, this.shared);
  }

  #alone(rules: readonly KeyedRule[]): LimitVerdict {
    const decisions = this.memory.take(rules);
    return decisions === undefined
      ? withoutStore(rules.filter(({ rule }) => rule.whenStoreGone !== "allow"), "rate-store-full")
      : verdictOf(rules, decisions);
  }

  async #together(rules: readonly KeyedRule[], shared: SharedLimitStore): Promise<LimitVerdict> {
    const decisions = await shared.take(rules);
    if (decisions !== undefined) {
      return verdictOf(rules, decisions);
    }
    const closed = withoutStore(
      rules.filter(({ rule }) => rule.whenStoreGone === "refuse"),
      "rate-store-gone",
    );
    if (closed.kind === "refuse") return closed;
    return this.#alone(rules.filter(({ rule }) => rule.whenStoreGone === "local"));
  }
}

function withoutStore(
  closed: readonly KeyedRule[],
  reason: "rate-store-gone" | "rate-store-full",
): LimitVerdict {
  const refusing = closed.filter(({ rule }) => !rule.dryRun).map(({ rule }) => rule.name);
  if (refusing.length === 0) return { kind: "pass", ...NOTHING };
  return { ...refuse(reason), headers: { "retry-after": "1" }, fired: refusing, dryRun: [] };
}

function verdictOf(rules: readonly KeyedRule[], decisions: readonly LimitDecision[]): LimitVerdict {
  const fired: string[] = [];
  const dryRun: string[] = [];
  const told: RuleDecision[] = [];
  for (let i = 0; i < rules.length; i++) {
    const { rule } = rules[i]!;
    const decision = decisions[i]!;
    if (!decision.allowed) (rule.dryRun ? dryRun : fired).push(rule.name);
    if (!rule.dryRun) told.push({ rule, decision });
  }
  const headers = limitHeaders(told);
  if (fired.length === 0) return { kind: "pass", headers, fired, dryRun };
  return { ...refuse("rate-limited"), headers, fired, dryRun };
}
