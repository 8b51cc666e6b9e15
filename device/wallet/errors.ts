/** Codes of the wallet: its own state, the cards that it refuses, and what a person can do next. */

import { defineErrors } from "shared/base/errors.ts";

const INSPECT = "Do not use the card. Keep it for inspection.";
const RETAP = "Put the card back and run the command again; `rk wallet identify` tells the card's state.";

/** Rows of the `WALLET_` codes that flows, state and cards share. */
export const WALLET_ERRORS = defineErrors({
  // The wallet itself.
  WALLET_PIN_WRONG: {
    fault: "usage",
    retry: true,
    next: "Give the wallet's own PIN. The third wrong one erases the wallet.",
  },
  WALLET_ERASED: {
    fault: "usage",
    retry: false,
    next: "The third wrong PIN erased the wallet. Set it up again: `rk wallet restore` with a backup card.",
  },
  WALLET_PIN_RULE: { fault: "usage", retry: false, next: "A PIN has 4 to 8 digits, and nothing else." },
  WALLET_WORDS: {
    fault: "usage",
    retry: true,
    next: "Give 12, 18 or 24 words of the BIP39 English list in their order, separated by spaces.",
  },
  WALLET_HAS_SEED: {
    fault: "usage",
    retry: false,
    next:
      "Only an empty wallet takes a seed. Take another --state file, or erase this one: `rk wallet erase`.",
  },
  WALLET_NO_SEED: {
    fault: "usage",
    retry: false,
    next: "Set the wallet up first: `rk wallet setup --words 24`, or `rk wallet restore` from a card.",
  },
  WALLET_NOT_SET_UP: {
    fault: "usage",
    retry: false,
    next: "There is no wallet in this file yet: `rk wallet setup`, or `rk wallet restore` from a card.",
  },
  WALLET_STATE: {
    fault: "configuration",
    retry: false,
    next: "Restore the wallet file from a copy, or start anew with another --state file and a backup card.",
  },
  WALLET_STATE_BUSY: {
    fault: "service",
    retry: true,
    next: "Another process holds this wallet file: wait for it, or stop it (`rk wallet serve` keeps it).",
  },
  WALLET_WRITE: {
    fault: "installation",
    retry: true,
    next: "The wallet file could not be written and read back: look at its folder, rights and disk.",
  },
  // A person.
  WALLET_CANCELLED: { fault: "usage", retry: true, next: "Run the command again when you are ready." },
  WALLET_SECRET_MISSING: {
    fault: "usage",
    retry: false,
    next: "Run at a terminal, or give the secrets with --secrets-fd N (`rk help wallet` tells their names).",
  },
  WALLET_CONFIRM: {
    fault: "usage",
    retry: false,
    next:
      "Answer the question at a terminal, or give the option: --confirm with the word that the message names; --change-pin, --name TEXT or --wipe.",
  },
  // A card that is in the wrong state for what was asked.
  WALLET_CARD_NOT_EMPTY: {
    fault: "card",
    retry: false,
    next:
      "A backup goes to an empty card only. Take another card, or erase this one: `rk wallet manage --wipe`.",
  },
  WALLET_CARD_EMPTY: {
    fault: "card",
    retry: false,
    next: "The card holds no seed. Take the right card, or make a backup to it: `rk wallet backup`.",
  },
  WALLET_CARD_OTHER: {
    fault: "card",
    retry: false,
    next: "Both taps need the same card, unchanged: run the command again with one card.",
  },
  WALLET_CARD_NO_TRIES: {
    fault: "card",
    retry: false,
    next:
      "The card has no try left: at the next PIN, even the right one, it erases itself. `rk wallet manage --wipe` does so.",
  },
  WALLET_CARD_PIN_WRONG: {
    fault: "card",
    retry: true,
    next: "Run the command again with the card's PIN; it says how many tries are left.",
  },
  WALLET_CARD_WIPED: {
    fault: "card",
    retry: false,
    next: "The third wrong PIN erased the card: it is empty and can take a new backup.",
  },
  WALLET_CARD_OTHER_SEED: {
    fault: "card",
    retry: false,
    next: "The card holds another seed than this wallet: it is no backup of it.",
  },
  WALLET_CARD_DOUBTFUL: {
    fault: "card",
    retry: false,
    next:
      "What the card holds is not what was written. Erase the card (`rk wallet manage --wipe`) and take another one.",
  },
  // A card that left, or that says what no genuine card says.
  WALLET_TORN: { fault: "card", retry: true, next: RETAP },
  WALLET_IMPLAUSIBLE: { fault: "card", retry: false, next: INSPECT },
  WALLET_CARD_REFUSED: { fault: "card", retry: true, next: RETAP },
  WALLET_SESSION_ENDED: { fault: "bug", retry: false, next: "Report it." },
  WALLET_FLOW: { fault: "bug", retry: false, next: "Report it." },
});
