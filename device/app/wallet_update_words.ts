/** What an update says to people: where it is, how long it takes, and when the card must stay. */

import { LIFE_CYCLE } from "shared/protocol/recovery_key/constants.ts";
import { REASON_WORDS } from "../update/product.ts";
import type { Progress, ProgressStage } from "../update/progress.ts";
import type { UpdateCheck } from "../update/check.ts";
import type { UpdateResult } from "../update/updater.ts";
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

/** Before the card's PIN is asked at the end, in a run that only went on. */
export const PROVE_WORDS =
  "  The new version is on the card. Its PIN lets the wallet prove that the seed is the one from before.";

/** What a look found. */
export function checkWords({ card, installed, inUpdate, release, offer }: UpdateCheck): string {
  const which = card === null ? `The card, version ${installed ?? "unknown"}` : `Card ${cardWords(card)}`;
  if (inUpdate === null) {
    return "The card has no Recovery Key applet. Another wallet may have begun an update of it: then `rk wallet update` goes on.";
  }
  if (inUpdate) {
    return `${which}, is in the middle of an update: \`rk wallet update\` goes on with it. Its seed is safe.`;
  }
  const released = release === null ? "" : ` Released is ${release.version}.`;
  if (offer.offered) {
    const notes = release!.notes === "" ? "" : `\n    ${release!.notes}`;
    const asked = card?.lifeCycle === LIFE_CYCLE.USER_PERSONALIZED ? "; the card's PIN is asked" : "";
    return `${which}.${released} It is offered: \`rk wallet update\` loads it${asked}.${notes}`;
  }
  return `${which}.${released} Nothing is offered: ${REASON_WORDS[offer.reason]}.`;
}

/** How it ended. */
export function resultWords({ from, to, seedKept, card }: UpdateResult): string {
  const seed = card.lifeCycle !== LIFE_CYCLE.USER_PERSONALIZED
    ? "It holds no seed."
    : seedKept === null
    ? "The seed was not compared: that needs the card's PIN."
    : "Its seed, name and certificate are as before.";
  return `DONE. From ${from ?? "an earlier version"} to ${to}. ${seed} Card ${cardWords(card)}.`;
}
