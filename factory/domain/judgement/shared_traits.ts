/** What failures have in common, and whether good cards have it too. */

import { type JudgedCard, type Trait, TRAITS } from "./judgement.ts";

/** Share of the failures, in percent, from which on a value is called shared. */
export const SHARED_PERCENT = 75;
/** Least failures that can share anything: one card shares everything with itself. */
export const SHARED_FAILURES_MIN = 2;

/** A value that most failures have. */
export interface SharedTrait {
  readonly trait: Trait;
  readonly value: string;
  /** Failures that have it, and all of them. */
  readonly failures: number;
  readonly ofFailures: number;
  /** Good cards that have it, and all of them. */
  readonly good: number;
  readonly ofGood: number;
}

/**
 * Values that at least {@link SHARED_PERCENT} of the failures have; first those that good cards have least, for they point at
 * the cause.
 */
export function sharedTraits(failures: readonly JudgedCard[], good: readonly JudgedCard[]): SharedTrait[] {
  if (failures.length < SHARED_FAILURES_MIN) return [];
  const found: SharedTrait[] = [];
  for (const trait of TRAITS) {
    for (const [value, count] of counts(failures, trait)) {
      if (count * 100 < SHARED_PERCENT * failures.length) continue;
      found.push({
        trait,
        value,
        failures: count,
        ofFailures: failures.length,
        // No good card has a reason for scrapping, which says nothing.
        good: trait === "reason" ? 0 : counts(good, trait).get(value) ?? 0,
        ofGood: trait === "reason" ? 0 : good.length,
      });
    }
  }
  // The order of TRAITS decides between equals: sort() is stable.
  return found.sort((a, b) => pointsAt(b) - pointsAt(a));
}

/** Share of the failures less the share of the good cards: 1 when only failures have it. */
function pointsAt({ failures, ofFailures, good, ofGood }: SharedTrait): number {
  return failures / ofFailures - (ofGood === 0 ? 0 : good / ofGood);
}

function counts(cards: readonly JudgedCard[], trait: Trait): Map<string, number> {
  const counted = new Map<string, number>();
  for (const { traits } of cards) {
    const value = traits[trait];
    if (value !== undefined) counted.set(value, (counted.get(value) ?? 0) + 1);
  }
  return counted;
}

/** One line for people, for example `all 5 have reader "A" (0 of 12 good ones do)`. */
export function describeShared(shared: SharedTrait): string {
  const { trait, value, failures, ofFailures, good, ofGood } = shared;
  const who = failures === ofFailures ? `all ${ofFailures} have` : `${failures} of ${ofFailures} have`;
  return `${who} ${trait} ${value}` + (ofGood === 0 ? "" : ` (and ${good} of ${ofGood} good ones)`);
}
