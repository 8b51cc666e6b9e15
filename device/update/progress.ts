/** How far an update is, and how long it still takes, from the APDUs that went. Pure. */

/** What an update is doing. */
export const PROGRESS_STAGES = ["looking", "authorizing", "loading", "restoring", "proving"] as const;
/** One of {@link PROGRESS_STAGES}. */
export type ProgressStage = (typeof PROGRESS_STAGES)[number];

/** Where it is. */
export interface Progress {
  readonly stage: ProgressStage;
  /** 0 to 100. */
  readonly percent: number;
  /** Whole seconds that it still takes; null: not known yet. */
  readonly secondsLeft: number | null;
  /** Whether the card may be taken off without making the update longer. It is never lost by it. */
  readonly mayRemove: boolean;
}

/** APDUs before an estimate is worth telling. */
const MEASURED_MIN = 8;

/**
 * The progress of an update.
 * @param sent APDUs so far. @param expected APDUs of the whole update. @param elapsedMs time for those that were sent.
 */
export function progressOf(
  stage: ProgressStage,
  sent: number,
  expected: number,
  elapsedMs: number,
): Progress {
  const total = Math.max(expected, sent, 1);
  return {
    stage,
    percent: Math.min(99, Math.floor(100 * sent / total)),
    secondsLeft: sent < MEASURED_MIN ? null : Math.ceil(elapsedMs / sent * (total - sent) / 1000),
    mayRemove: stage === "looking",
  };
}
