/**
 * Rate limit by the generic cell rate algorithm (GCRA): a key may spend `burst` requests at once and earns
 * `quota` more in each window, evenly. Pure: the state of a key is one number, the time is passed in.
 * All arithmetic is on integers (time in units of 1/quota ms), so that in any time t exactly
 * floor(t x quota / window) + burst requests are admitted under pressure, when all but one of the burst earn back no
 * faster than the clock ticks (1 ms): (burst - 1) x window >= quota x 1 ms. With a burst of 1 a client that comes late
 * loses the time by which it is late.
 */

import { serializeItem } from "structured-headers";

/** A limit. */
export interface LimitRule {
  /** Name in the RateLimit headers: lower-case letters, digits, `-`. */
  readonly name: string;
  /** Requests per window. */
  readonly quota: number;
  readonly windowSeconds: number;
  /** Requests that a rested client may send at once; at least 1. */
  readonly burst: number;
}

/** Theoretical arrival time of a key, in 1/quota ms; absent for a key that is rested. */
export type ArrivalTime = number;

/** The decision on one request. */
export interface LimitDecision {
  readonly allowed: boolean;
  /** The key's next state; unchanged when refused. */
  readonly arrival: ArrivalTime | undefined;
  /** Requests that may follow at once. */
  readonly remaining: number;
  /** Milliseconds until the next request is allowed; 0 when one is. */
  readonly retryAfterMs: number;
  /** Milliseconds until the key is rested. */
  readonly resetMs: number;
}

/**
 * Decides on one request of a key.
 * @param nowMs Monotonic clock, milliseconds; fractions are dropped.
 */
export function decideLimit(
  rule: LimitRule,
  arrival: ArrivalTime | undefined,
  nowMs: number,
): LimitDecision {
  const now = Math.floor(nowMs) * rule.quota;
  const interval = rule.windowSeconds * 1000;
  const tolerance = interval * rule.burst;
  const from = Math.max(now, arrival ?? now);
  const next = from + interval;
  const allowed = next - now <= tolerance;
  const { remaining, retryAfterMs, resetMs } = standingOf(rule, (allowed ? next : from) - now);
  return { allowed, arrival: allowed ? next : arrival, remaining, retryAfterMs, resetMs };
}

/** What a key may do, from what it owes: the time until it is rested, in 1/quota ms. */
export function standingOf(
  rule: LimitRule,
  debt: number,
): Pick<LimitDecision, "remaining" | "retryAfterMs" | "resetMs"> {
  const interval = rule.windowSeconds * 1000;
  const tolerance = interval * rule.burst;
  const remaining = Math.max(0, Math.floor((tolerance - debt) / interval));
  return {
    remaining,
    retryAfterMs: remaining > 0 ? 0 : Math.ceil((debt + interval - tolerance) / rule.quota),
    resetMs: Math.ceil(debt / rule.quota),
  };
}

/** What a key may do without one more request counted: for rules that a request met that another rule refused. */
export function standingNow(
  rule: LimitRule,
  arrival: ArrivalTime | undefined,
  nowMs: number,
): ReturnType<typeof standingOf> {
  const now = Math.floor(nowMs) * rule.quota;
  return standingOf(rule, Math.max(0, (arrival ?? now) - now));
}

/** Whether a key's state says no more than "rested": it may be forgotten. */
export function isRested(rule: LimitRule, arrival: ArrivalTime, nowMs: number): boolean {
  return arrival <= Math.floor(nowMs) * rule.quota;
}

const ruleFields = new WeakMap<LimitRule, readonly [name: string, policy: string]>();

/** What the headers say of a rule whatever it decides, serialized once. */
function fieldsOf(rule: LimitRule): readonly [name: string, policy: string] {
  const known = ruleFields.get(rule);
  if (known !== undefined) return known;
  const made = [
    serializeItem([rule.name, new Map()]),
    serializeItem([rule.name, new Map([["q", rule.quota], ["w", rule.windowSeconds]])]),
  ] as const;
  ruleFields.set(rule, made);
  return made;
}

/** One rule's decision on a request. */
export interface RuleDecision {
  readonly rule: LimitRule;
  readonly decision: LimitDecision;
}

/**
 * Headers of draft-ietf-httpapi-ratelimit-headers-11 for all rules that a request met: each policy (`q` requests in `w`
 * seconds) and what is left of it (`r` requests; `t` seconds until more). A refusal also gets Retry-After
 * (RFC 9110, 10.2.3), after which every rule that refused allows again.
 */
export function limitHeaders(decisions: readonly RuleDecision[]): Record<string, string> {
  if (decisions.length === 0) return {};
  let [policy, left, isRefused, waitMs] = ["", "", false, 0];
  for (const { rule, decision: { allowed, remaining, resetMs, retryAfterMs } } of decisions) {
    if (!allowed) {
      isRefused = true;
      waitMs = Math.max(waitMs, retryAfterMs);
    }
    const [name, itsPolicy] = fieldsOf(rule);
    const seconds = Math.ceil((remaining > 0 ? resetMs : retryAfterMs) / 1000);
    policy += policy === "" ? itsPolicy : `, ${itsPolicy}`;
    // Numbers and a name that was serialized: members of a structured list are joined as they stand (RFC 9651, 4.1.1).
    left += `${left === "" ? "" : ", "}${name};r=${remaining};t=${seconds}`;
  }
  const headers: Record<string, string> = { "ratelimit-policy": policy, "ratelimit": left };
  if (isRefused) headers["retry-after"] = String(Math.max(1, Math.ceil(waitMs / 1000)));
  return headers;
}
