/** What the wallet says to people: short lines, the card's identifier in each that is about a card. */

import { type CardFacts, identifierOf } from "../wallet/card_facts.ts";
import type { About, Confirmation, Notice, SecretName } from "../wallet/person.ts";
import { tries } from "../wallet/wallet.ts";

/** States of a card in words, by life cycle. */
export const LIFE_CYCLE_WORDS: Readonly<Record<number, string>> = {
  2: "attested, not in use yet",
  3: "in use",
};

/** One notice. */
export function noticeWords(notice: Notice): string {
  switch (notice.kind) {
    case "present":
      return notice.card === null
        ? `Tap ${notice.tap}: put the card on the reader and leave it there.`
        : `Tap ${notice.tap}: put card ${identifierOf(notice.card)} on the reader again and leave it there.`;
    case "card":
      return `  Genuine card ${cardWords(notice.card)}.`;
    case "match":
      return notice.matches ? "  It holds this wallet's seed." : "  It holds ANOTHER seed than this wallet.";
    case "pin-rule":
      return "  A PIN has 4 to 8 digits, and nothing else.";
    case "pin-wrong":
      return `  Wrong PIN of the ${notice.whose}: ${tries(notice.triesLeft)} left.`;
    case "resumed":
      return `  The last backup to card ${identifierOf(notice.card)} did not finish: going on with it.`;
  }
}

/** A card in one line. */
export function cardWords(card: CardFacts): string {
  const triesLeft = card.pinTriesLeft === null ? "" : `, ${tries(card.pinTriesLeft)} of its PIN left`;
  return `${identifierOf(card)}: ${LIFE_CYCLE_WORDS[card.lifeCycle]}${triesLeft}, applet ${card.version}`;
}

/** The question for a secret, without the colon. */
export function secretWords(name: SecretName, { triesLeft, card }: About): string {
  const left = triesLeft === undefined ? "" : ` (${tries(triesLeft)} left)`;
  const of = card === undefined ? "the card" : `card ${identifierOf(card)}`;
  const words: Readonly<Record<SecretName, string>> = {
    walletPin: `PIN of this wallet${left}`,
    newWalletPin: "New PIN for this wallet, 4 to 8 digits",
    cardPin: `PIN of ${of}${left}`,
    newCardPin: `New PIN for ${of}, 4 to 8 digits`,
    words: "The 12, 18 or 24 words, separated by spaces",
  };
  return words[name];
}

/** What can be done with a card, for a list to choose from. */
export const ACTION_WORDS: Readonly<Record<string, string>> = {
  pin: "pin   change its PIN",
  name: "name  change its name",
  wipe: "wipe  erase its seed, PIN and name",
};

/** The question that needs a yes. */
export function confirmationWords(what: Confirmation, { card }: About): string {
  const of = card === undefined ? "this wallet" : `card ${identifierOf(card)}`;
  const words: Readonly<Record<Confirmation, string>> = {
    "last-try": `This is the last try: a wrong PIN ERASES ${of} with its seed. Go on?`,
    "wipe": `Erase ${of}? Its seed, PIN and name will be gone for ever.`,
    "other-seed": `${of[0]!.toUpperCase()}${
      of.slice(1)
    } holds ANOTHER seed, and may be its only copy. Erase it?`,
    "erase-wallet": "Erase this wallet? Without a backup card or the words its seed is gone for ever.",
  };
  return words[what];
}
