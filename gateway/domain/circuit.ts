/**
 * The circuit breaker of one instance, from what became of its requests alone: pure, a table of states and functions of time.
 * Active checks (health.ts) say whether an instance says that it is ready; this says whether it does its work. An instance that
 * is ready and fails stays out for its time, whatever its readiness path says.
 */

import { flow } from "shared/base/flow.ts";

/** `closed`: in use; `open`: gets nothing; `half-open`: gets one request at a time, to be tried. */
export type BreakerState = "closed" | "open" | "half-open";
/** `trip`: failed too often; `cool`: has been out long enough; `succeed`, `fail`: what became of the trial. */
export type BreakerEvent = "trip" | "cool" | "succeed" | "fail";

/** The breaker. */
export const BREAKER_FLOW = flow<BreakerState, BreakerEvent>({
  closed: { trip: "open" },
  open: { cool: "half-open" },
  "half-open": { succeed: "closed", fail: "open" },
});

/** When to put an instance out, and for how long. */
export interface BreakerRule {
  /** Failures in a row that put it out. */
  readonly consecutiveFailures: number;
  /** Time over which the share of failures is looked at, milliseconds; from one to two of them count. */
  readonly windowMs: number;
  /** Fewer requests in the window say nothing about a share. */
  readonly minimumRequests: number;
  /** Share of failures in the window that puts it out, 0 to 1. */
  readonly failureShare: number;
  /** First time out, milliseconds; it doubles with each further time in a row. */
  readonly openMs: number;
  /** Longest time out, milliseconds. */
  readonly maxOpenMs: number;
  /** Largest share of a pool's instances that is out at once, 0 to 1: rather a bad instance than none. */
  readonly maxOpenShare: number;
}

/** Requests of one window. */
interface Counts {
  readonly ok: number;
  readonly failed: number;
}

/** State of one breaker. */
export interface Breaker {
  readonly state: BreakerState;
  /** When the state was entered, monotonic milliseconds. */
  readonly since: number;
  /** Failures in a row. */
  readonly inRow: number;
  /** Times it opened without having closed in between. */
  readonly opened: number;
  /** A trial is under way. */
  readonly trying: boolean;
  /** Start of the current window, monotonic milliseconds. */
  readonly windowStart: number;
  readonly current: Counts;
  readonly before: Counts;
}

const NOTHING: Counts = { ok: 0, failed: 0 };

/** A breaker of which nothing is known. */
export function initialBreaker(nowMs: number): Breaker {
  return {
    state: "closed",
    since: nowMs,
    inRow: 0,
    opened: 0,
    trying: false,
    windowStart: nowMs,
    current: NOTHING,
    before: NOTHING,
  };
}

/** How many of a pool's instances may be out at once; never the only one. */
export function mostOpen(instances: number, rule: Pick<BreakerRule, "maxOpenShare">): number {
  return Math.min(Math.floor(instances * rule.maxOpenShare), instances - 1);
}

function moved(breaker: Breaker, event: BreakerEvent, nowMs: number): Breaker {
  const state = BREAKER_FLOW.next(breaker.state, event);
  if (state === undefined) return breaker;
  const opened = state === "open" ? breaker.opened + 1 : state === "closed" ? 0 : breaker.opened;
  return { ...initialBreaker(nowMs), state, opened };
}

/** How long it stays open. */
export function openFor(breaker: Breaker, rule: BreakerRule): number {
  return Math.min(rule.openMs * 2 ** Math.min(breaker.opened - 1, 20), rule.maxOpenMs);
}

/** An open breaker whose time is over is half open. */
export function cooledBreaker(breaker: Breaker, nowMs: number, rule: BreakerRule): Breaker {
  const due = breaker.state === "open" && nowMs - breaker.since >= openFor(breaker, rule);
  return due ? moved(breaker, "cool", nowMs) : breaker;
}

/** Whether an instance may get a request now. */
export function admits(breaker: Breaker): boolean {
  return breaker.state === "closed" || breaker.state === "half-open" && !breaker.trying;
}

/** A request begins; half open, it is the trial. */
export function beginRequest(breaker: Breaker): Breaker {
  return breaker.state === "half-open" ? { ...breaker, trying: true } : breaker;
}

/** Nothing is known of a request that began: the client left. A trial has to be made again. */
export function abandonRequest(breaker: Breaker): Breaker {
  return breaker.trying ? { ...breaker, trying: false } : breaker;
}

/**
 * A request is over.
 * @param mayOpen False when as many instances of the pool are out as may be.
 */
export function endRequest(
  breaker: Breaker,
  ok: boolean,
  nowMs: number,
  rule: BreakerRule,
  mayOpen: boolean,
): Breaker {
  // What began before it opened says nothing new.
  if (breaker.state === "open") return breaker;
  if (breaker.state === "half-open") return moved(breaker, ok ? "succeed" : "fail", nowMs);
  const rolled = roll(breaker, nowMs, rule.windowMs);
  const current = ok
    ? { ...rolled.current, ok: rolled.current.ok + 1 }
    : { ...rolled.current, failed: rolled.current.failed + 1 };
  const next = { ...rolled, current, inRow: ok ? 0 : rolled.inRow + 1 };
  return !ok && mayOpen && isBad(next, rule) ? moved(next, "trip", nowMs) : next;
}

function isBad({ inRow, current, before }: Breaker, rule: BreakerRule): boolean {
  const failed = current.failed + before.failed;
  const all = failed + current.ok + before.ok;
  return inRow >= rule.consecutiveFailures ||
    all >= rule.minimumRequests && failed >= all * rule.failureShare;
}

function roll(breaker: Breaker, nowMs: number, windowMs: number): Breaker {
  const age = nowMs - breaker.windowStart;
  if (age < windowMs) return breaker;
  return {
    ...breaker,
    windowStart: nowMs,
    current: NOTHING,
    before: age < 2 * windowMs ? breaker.current : NOTHING,
  };
}
