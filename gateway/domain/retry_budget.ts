/**
 * The retry budget of a pool: requests pay in, retries take out. When everything fails, retries stay a small share of the
 * load instead of doubling it. Pure: a number that the caller keeps.
 */

/** The rule of a budget. */
export interface RetryBudgetRule {
  /** Retries for each request, 0 to 1. */
  readonly share: number;
  /** Most retries that can be saved up; also what a pool begins with. */
  readonly burst: number;
}

/** What is in a new budget. */
export function initialBudget(rule: RetryBudgetRule): number {
  return rule.burst;
}

/** A request was made. */
export function payIn(saved: number, rule: RetryBudgetRule): number {
  return Math.min(rule.burst, saved + rule.share);
}

/** A retry takes one; undefined: there is none left. */
export function takeRetry(saved: number): number | undefined {
  // Ten times 0.1 is less than 1 to a computer.
  return saved >= 1 - 1e-9 ? Math.max(0, saved - 1) : undefined;
}
