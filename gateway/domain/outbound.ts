/**
 * Does more leave than should? Bytes are counted by destination in windows of equal length; what a destination usually gets is its
 * baseline, and a window far above it raises an alarm. Pure: counts and rules are passed in.
 *
 * A window that raises the alarm teaches the baseline nothing: who carries something off for long must not become the usual.
 */

/** When to raise the alarm. */
export interface OutboundRule {
  /** Length of a window. */
  readonly windowSeconds: number;
  /** So many times the baseline is too much. */
  readonly factor: number;
  /** Fewer bytes in a window never raise the alarm. */
  readonly floorBytes: number;
  /** More bytes in a window always do, from the first one on. */
  readonly ceilingBytes: number;
  /** Windows after which the baseline counts; until then only the ceiling does. */
  readonly learnWindows: number;
}

/** What is usual for one destination. */
export interface Baseline {
  /** Windows that it was learned from. */
  readonly windows: number;
  /** Bytes in a window: the mean, in which the last windows weigh most. */
  readonly meanBytes: number;
  readonly alarmed: boolean;
}

/** What one window means. */
export interface WindowDecision {
  readonly baseline: Baseline;
  /** Most bytes that would have been no alarm. */
  readonly allowedBytes: number;
  readonly change: "raised" | "cleared" | undefined;
}

/** Weight of a new window in the mean, once it was learned. */
const WEIGHT = 0.05;

/** A destination of which nothing is known. */
export const NEW_BASELINE: Baseline = { windows: 0, meanBytes: 0, alarmed: false };

/** Decides on one window of a destination. */
export function observeWindow(rule: OutboundRule, baseline: Baseline, bytes: number): WindowDecision {
  const learned = baseline.windows >= rule.learnWindows;
  const usual = Math.max(rule.floorBytes, rule.factor * baseline.meanBytes);
  const allowedBytes = learned ? Math.min(rule.ceilingBytes, usual) : rule.ceilingBytes;
  const alarmed = bytes > allowedBytes;
  const change = alarmed === baseline.alarmed ? undefined : alarmed ? "raised" : "cleared";
  if (alarmed) return { baseline: { ...baseline, alarmed }, allowedBytes, change };
  const windows = baseline.windows + 1;
  const weight = Math.max(WEIGHT, 1 / windows);
  const meanBytes = baseline.meanBytes + weight * (bytes - baseline.meanBytes);
  return { baseline: { windows, meanBytes, alarmed }, allowedBytes, change };
}
