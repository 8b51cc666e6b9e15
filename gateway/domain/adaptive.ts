/**
 * How many requests may be in flight to a pool, learnt from how long answers take: when they take longer than they usually do,
 * fewer are let in; while all is well and the room is used, more. Gradient of the usual and the present time, smoothed. Pure.
 */

/** Bounds. */
export interface AdaptiveRule {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  /** Answers may take this many times as long as usual before the limit falls. */
  readonly tolerance: number;
}

/** What was learnt. */
export interface AdaptiveState {
  readonly limit: number;
  /** Smoothed over some six hundred answers, milliseconds; 0 before the first. */
  readonly usualMs: number;
  /** Smoothed over some twenty. */
  readonly presentMs: number;
  /** Answers seen. */
  readonly seen: number;
}

/** What a priority may use of the limit: restore all of it, so that who gets a wallet back is shed last. */
export const PRIORITY_SHARES = { restore: 1, backup: 0.9, factory: 0.75 } as const;
/** Priority of a route. */
export type Priority = keyof typeof PRIORITY_SHARES;

const USUAL_SAMPLES = 600;
const PRESENT_SAMPLES = 20;
/** Nothing is concluded before. */
const WARM_UP = 20;
/** Faster than this is noise of the machine: never a reason to let fewer in. */
const NOISE_MS = 20;
const SMOOTHING = 0.2;
/** After a failure for want of capacity. */
const BACK_OFF = 0.9;

/** Nothing is known yet. */
export function initialAdaptive(rule: AdaptiveRule): AdaptiveState {
  return { limit: rule.initial, usualMs: 0, presentMs: 0, seen: 0 };
}

/** Whether one more request of a priority may go. */
export function mayEnter(state: AdaptiveState, priority: Priority, inFlight: number): boolean {
  return inFlight < Math.max(1, Math.floor(state.limit * PRIORITY_SHARES[priority]));
}

const smooth = (before: number, value: number, samples: number) => before + (value - before) / samples;
const clamp = (rule: AdaptiveRule, limit: number) => Math.min(rule.max, Math.max(rule.min, limit));

/**
 * The state after an answer.
 * @param inFlight Requests in flight when this one began, itself included.
 * @param overloaded The pool said so: deadline passed, 503, no connection to be had.
 */
export function learn(
  rule: AdaptiveRule,
  state: AdaptiveState,
  answer: { readonly ms: number; readonly inFlight: number; readonly overloaded: boolean },
): AdaptiveState {
  if (answer.overloaded) return { ...state, limit: clamp(rule, state.limit * BACK_OFF) };
  const seen = state.seen + 1;
  const usualMs = smooth(state.usualMs, answer.ms, Math.min(seen, USUAL_SAMPLES));
  const presentMs = smooth(state.presentMs, answer.ms, Math.min(seen, PRESENT_SAMPLES));
  // A pool that became fast again is measured by what it can do now, not by how bad it was.
  const reference = usualMs > 2 * presentMs ? smooth(usualMs, presentMs, PRESENT_SAMPLES) : usualMs;
  const next = (limit: number) => ({ limit, usualMs: reference, presentMs, seen });
  const isUsed = answer.inFlight >= state.limit / 2;
  if (seen < WARM_UP) return next(state.limit);
  const gradient = presentMs <= NOISE_MS
    ? 1
    : Math.min(1, Math.max(0.5, rule.tolerance * reference / presentMs));
  // Nobody is shed for a limit that is not reached; and without use nothing shows that more would do.
  if (!isUsed) return next(state.limit);
  const wanted = state.limit * gradient + Math.sqrt(state.limit);
  return next(clamp(rule, state.limit + (wanted - state.limit) * SMOOTHING));
}
