/** What an update says to people: where it is, how long it takes, and when the card must stay. */

import type { Progress, ProgressStage } from "../update/progress.ts";
import type { UpdateCheck, UpdateResult } from "../update/updater.ts";
import { cardWords } from "./wallet_words.ts";

const STAGE_WORDS: Readonly<Record<ProgressStage, string>> = {
  looking: "looking at the card",
  authorizing: "card and service prove themselves",
  loading: "loading the new version",
  restoring: "the card takes its data back",
  proving: "comparing what the card holds",
};

const BAR_WIDTH = 24;

/** One line, as wide as any other, so that each covers the one before. */
export function progressWords({ stage, percent, secondsLeft, mayRemove }: Progress): string {
  const full = Math.round(BAR_WIDTH * percent / 100);
  const bar = "#".repeat(full) + ".".repeat(BAR_WIDTH - full);
  const left = secondsLeft === null ? "" : `, ${secondsLeft} s left`;
  const stay = mayRemove ? "" : " - LEAVE THE CARD ON THE READER";
  return `  [${bar}] ${`${percent}`.padStart(3)} %  ${STAGE_WORDS[stage]}${left}${stay}`.padEnd(112);
}

/** When the card went away. */
export const TORN_WORDS =
  "  The card left the reader. Its seed is safe. Put the same card back and leave it there: the update goes on.";

const REASON_WORDS: Readonly<Record<string, string>> = {
  "no-release": "nothing is released for it",
  "other-product": "the release is for another product",
  "already-newest": "it has the newest version",
  "security-counter-lower": "the release is older in what it protects against",
  "not-replaceable": "the release does not replace its version",
  "other-chip": "the release is for another chip",
  "halted": "the rollout was halted",
};

/** What a look found. */
export function checkWords({ card, installed, inUpdate, release, offer }: UpdateCheck): string {
  const which = card === null ? `The card, version ${installed ?? "unknown"}` : `Card ${cardWords(card)}`;
  if (inUpdate) {
    return `${which}, is in the middle of an update: \`rk wallet update\` goes on with it. Its seed is safe.`;
  }
  const released = release === null ? "" : ` Released is ${release.version}.`;
  if (offer.offered) {
    const notes = release!.notes === "" ? "" : `\n    ${release!.notes}`;
    return `${which}.${released} It is offered: \`rk wallet update\` loads it; the card's PIN is asked.${notes}`;
  }
  return `${which}.${released} Nothing is offered: ${REASON_WORDS[offer.reason] ?? offer.reason}.`;
}

/** How it ended. */
export function resultWords({ from, to, seedKept, card }: UpdateResult): string {
  const seed = seedKept === null
    ? "The seed was not compared: that needs the card's PIN."
    : "Its seed, name and certificate are as before.";
  return `DONE. From ${from ?? "an earlier version"} to ${to}. ${seed} Card ${cardWords(card)}.`;
}
