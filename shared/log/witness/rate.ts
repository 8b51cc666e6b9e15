/** How often one address may ask: a bucket that fills evenly. */

/** A rule. */
export interface RateRule {
  /** Requests per second in the long run. */
  readonly perSecond: number;
  /** Requests at once after a pause. */
  readonly burst: number;
}

/** Addresses that are remembered; the longest silent goes first. */
const ADDRESSES_MAX = 10_000;

/** Buckets by address. */
export class RateLimit {
  readonly #rule: RateRule;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(rule: RateRule) {
    this.#rule = rule;
  }

  /** Takes one request of an address. @param now monotonic, in milliseconds. @returns whether it may be worked on. */
  take(address: string, now: number): boolean {
    const { perSecond, burst } = this.#rule;
    const before = this.#buckets.get(address) ?? { tokens: burst, at: now };
    const tokens = Math.min(burst, before.tokens + (now - before.at) / 1000 * perSecond);
    this.#buckets.delete(address);
    this.#buckets.set(address, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now });
    if (this.#buckets.size > ADDRESSES_MAX) this.#buckets.delete(this.#buckets.keys().next().value!);
    return tokens >= 1;
  }
}
