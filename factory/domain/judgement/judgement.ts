/**
 * Judgement on the line (FAB-BATCH): may work go on, given how the last cards ended? One rule for a reader, a station and
 * a batch; the caller keeps the list of cards and does the stopping.
 */

import { defineErrors } from "shared/base/errors.ts";
import { CHIP_TRAITS } from "./chip_traits.ts";

/** Most cards that any limit may look back on: what a caller has to keep. */
export const JUDGED_CARDS_MAX = 1000;

/** When to stop. `null` switches a rule off. */
export interface JudgementLimits {
  /** Stop after this many scrapped cards in a row, 1 to {@link JUDGED_CARDS_MAX}. */
  readonly scrappedInRow: number | null;
  /** Stop when fewer than this many of a hundred cards are good, 0 to 100. */
  readonly yieldPercent: number | null;
  /** Cards that must have ended before the yield says anything, 1 to {@link JUDGED_CARDS_MAX}. */
  readonly yieldAfterCards: number;
  /** The yield is that of this many last cards, so that a good morning does not hide a bad afternoon. */
  readonly yieldWindowCards: number;
}

/** Limits where neither profile nor person gives others: late enough that a tear-off of a few cards stops nothing. */
export const DEFAULT_LIMITS: JudgementLimits = {
  scrappedInRow: 10,
  yieldPercent: 80,
  yieldAfterCards: 50,
  yieldWindowCards: 200,
};

/** What cards can have in common, in the order in which people look for a cause. */
export const TRAITS = ["reason", "reader", "station", "package", ...CHIP_TRAITS] as const;
/** One of {@link TRAITS}. */
export type Trait = (typeof TRAITS)[number];

/** How a card ended and what is known of it; traits that are not known are left out. */
export interface JudgedCard {
  readonly outcome: "good" | "scrapped";
  readonly traits: Readonly<Partial<Record<Trait, string>>>;
}

/** Which limit was reached. */
export type JudgementRule = "scrapped-in-row" | "yield";

/** Outcome of {@link judge}. */
export type Judgement =
  | { readonly kind: "go" }
  | {
    readonly kind: "stop";
    readonly code: "JUDGEMENT_SCRAPPED_IN_ROW" | "JUDGEMENT_YIELD";
    readonly rule: JudgementRule;
    /** For people: the rule with its figures. */
    readonly reason: string;
    /** The cards that the rule looked at and that failed, oldest first. */
    readonly failures: readonly JudgedCard[];
    /** The good cards among those that the rule looked at, or else in the whole list: what failures are compared with. */
    readonly others: readonly JudgedCard[];
  };

/** Cards that a caller has to keep for these limits. */
export function cardsToKeep(limits: JudgementLimits): number {
  const needed = Math.max(limits.scrappedInRow ?? 1, limits.yieldAfterCards, limits.yieldWindowCards);
  return Math.min(needed, JUDGED_CARDS_MAX);
}

/**
 * Judges.
 * @param recent Cards since the work was let go on last, oldest first; more than {@link cardsToKeep} are of no use. A card
 *   counts when its record is closed, once.
 */
export function judge(limits: JudgementLimits, recent: readonly JudgedCard[]): Judgement {
  const { scrappedInRow, yieldPercent, yieldAfterCards, yieldWindowCards } = limits;
  const good = recent.filter(({ outcome }) => outcome === "good");
  const sinceGood = recent.slice(recent.findLastIndex(({ outcome }) => outcome === "good") + 1);
  if (scrappedInRow !== null && sinceGood.length >= scrappedInRow) {
    return {
      kind: "stop",
      code: "JUDGEMENT_SCRAPPED_IN_ROW",
      rule: "scrapped-in-row",
      reason: `${sinceGood.length} cards in a row were scrapped (limit ${scrappedInRow})`,
      failures: sinceGood,
      others: good,
    };
  }
  const window = recent.slice(-Math.max(yieldWindowCards, yieldAfterCards));
  if (yieldPercent !== null && window.length >= yieldAfterCards) {
    const goodOfWindow = window.filter(({ outcome }) => outcome === "good");
    // Compared as whole numbers: a quotient can miss the limit by its last digit.
    if (goodOfWindow.length * 100 < yieldPercent * window.length) {
      const percent = (100 * goodOfWindow.length / window.length).toFixed(1);
      return {
        kind: "stop",
        code: "JUDGEMENT_YIELD",
        rule: "yield",
        reason:
          `${goodOfWindow.length} of the last ${window.length} cards are good: ${percent} % (limit ${yieldPercent} %)`,
        failures: window.filter(({ outcome }) => outcome === "scrapped"),
        others: goodOfWindow,
      };
    }
  }
  return { kind: "go" };
}

defineErrors({
  JUDGEMENT_SCRAPPED_IN_ROW: {
    fault: "service",
    retry: false,
    http: 409,
    next:
      "Work stopped: too many cards in a row were scrapped. Look at what they share, remove the cause, then let it go on.",
  },
  JUDGEMENT_YIELD: {
    fault: "service",
    retry: false,
    http: 409,
    next:
      "Work stopped: too few cards are good. Look at what the scrapped ones share, remove the cause, then let it go on.",
  },
});
