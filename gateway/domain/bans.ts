/**
 * Temporary bans that an address earns: each offence gives points, points decay by half-lives, and at the threshold the address is
 * banned, each further time twice as long. Pure: state and time are passed in.
 */

import { type ProblemCode, type RefusalReason, REFUSALS } from "./refusals.ts";

/** What gives points. */
export type Offence = "handshake" | "block" | "flood";

/** When an address is banned, and how long; times in milliseconds. */
export interface BanRule {
  readonly threshold: number;
  readonly halfLifeMs: number;
  readonly banMs: number;
  readonly maxBanMs: number;
  readonly points: Readonly<Record<Offence, number>>;
}

/** What is remembered of an address. */
export interface BanState {
  readonly points: number;
  /** When the points were counted; monotonic milliseconds. */
  readonly at: number;
  /** Bans so far. */
  readonly strikes: number;
  /** End of the last ban; 0 when there was none. */
  readonly until: number;
}

const INNOCENT = { points: 0, strikes: 0, until: 0 };

/** Points that are left at a time. */
export function pointsAt(rule: BanRule, state: BanState, nowMs: number): number {
  return state.points * 2 ** (-Math.max(0, nowMs - state.at) / rule.halfLifeMs);
}

/** Whether an address is banned. */
export function isBanned(state: BanState | undefined, nowMs: number): boolean {
  return state !== undefined && nowMs < state.until;
}

/** The state after an offence. During a ban nothing is added: a ban ends however stubborn the client is. */
export function afterOffence(
  rule: BanRule,
  before: BanState | undefined,
  offence: Offence,
  nowMs: number,
): BanState {
  const state = before ?? { ...INNOCENT, at: nowMs };
  if (isBanned(state, nowMs)) return state;
  const strikes = nowMs - state.until > rule.maxBanMs ? 0 : state.strikes;
  const points = pointsAt(rule, state, nowMs) + rule.points[offence];
  if (points < rule.threshold) return { points, at: nowMs, strikes, until: state.until };
  const banMs = Math.min(rule.maxBanMs, rule.banMs * 2 ** Math.min(strikes, 30));
  return { points: 0, at: nowMs, strikes: strikes + 1, until: nowMs + banMs };
}

/** Whether a state says no more than "innocent": it may be forgotten. */
export function isForgiven(rule: BanRule, state: BanState, nowMs: number): boolean {
  return pointsAt(rule, state, nowMs) < 0.5 && nowMs - state.until > rule.maxBanMs;
}

/** What a problem says of its client. Paths and methods that do not exist are mistakes of honest people too. */
const OFFENCES: Readonly<Record<ProblemCode, Offence | undefined>> = {
  GATEWAY_BAD_REQUEST: "block",
  GATEWAY_UNDESCRIBED: "block",
  GATEWAY_FORBIDDEN: "block",
  GATEWAY_NOT_FOUND: undefined,
  GATEWAY_METHOD: undefined,
  GATEWAY_TIMEOUT: "block",
  GATEWAY_TOO_LARGE: "block",
  GATEWAY_URI_TOO_LONG: "block",
  GATEWAY_MEDIA_TYPE: undefined,
  GATEWAY_EXPECTATION: "block",
  GATEWAY_LIMITED: "flood",
  GATEWAY_HEADERS_TOO_LARGE: "block",
  GATEWAY_INTERNAL: undefined,
  GATEWAY_UPSTREAM_LOST: undefined,
  GATEWAY_UNAVAILABLE: undefined,
  GATEWAY_DEADLINE: undefined,
};

/** The offence of a refused request; undefined for what is not the client's fault, or a mistake. */
export function offenceOf(reason: string): Offence | undefined {
  if (reason === "address-banned" || !Object.hasOwn(REFUSALS, reason)) return undefined;
  return OFFENCES[REFUSALS[reason as RefusalReason].problem];
}
