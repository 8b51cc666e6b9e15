/** Error codes of the work on one card. */

import { defineErrors } from "shared/base/errors.ts";

/** Rows of the `CARD_` codes that the station raises by itself. */
export const PERSONALIZATION_ERRORS = defineErrors({
  CARD_ALREADY_ATTESTED: {
    fault: "card",
    retry: false,
    next: "This card is finished: put it into the tray of good cards. Nothing was changed on it.",
  },
  CARD_IN_USE: {
    fault: "card",
    retry: false,
    next: "This card belongs to someone and holds a seed: give it back. Nothing was changed on it.",
  },
  CARD_SCRAPPED: {
    fault: "card",
    retry: false,
    next: "This card was scrapped before: put it into the scrap box. Nothing was changed on it.",
  },
  CARD_AUTHENTICATION_BLOCKED: {
    fault: "card",
    retry: false,
    next:
      "Keys were refused on this card before, and cards lock. Find out why, then allow one more try: `rk station run --retry-authentication`.",
  },
  CARD_TWIN: {
    fault: "card",
    retry: true,
    next: "A card that says it is the same chip is in another reader: take one of the two off.",
  },
  CARD_SWAPPED: {
    fault: "card",
    retry: true,
    next:
      "Another card lies on the reader than the one that was begun. Nothing was written on it: take it off, and present both again, one after the other.",
  },
  CARD_RESET: {
    fault: "card",
    retry: true,
    next: "The card lost its power for a moment: clean the contacts, and present it again.",
  },
  CARD_DUPLICATE: {
    fault: "card",
    retry: false,
    next:
      "Another card with the same chip numbers was here before: two chips must not say the same. Keep both aside and report it. Nothing was changed on this one.",
  },
  CARD_STATUS_WORD: {
    fault: "card",
    retry: true,
    next: "The card refused a command: present it again. When it repeats, the card is scrapped.",
  },
  CARD_ANSWER: {
    fault: "card",
    retry: true,
    next:
      "The card's answer is not what it should be: present it again. When it repeats, the card is scrapped.",
  },
  CARD_KEY_VERSION: {
    fault: "card",
    retry: false,
    next: "The card has no key set of the version that the profile names: check the batch, then the profile.",
  },
  CARD_APPLET_MISSING: {
    fault: "card",
    retry: false,
    next: "The profile says that the applet is on the card, and it is not: check the batch and applet.state.",
  },
  CARD_STATE: {
    fault: "card",
    retry: false,
    next: "The card is in a state in which no card of this line should be: keep it aside and report it.",
  },
  CARD_SERIAL_MISMATCH: {
    fault: "card",
    retry: false,
    next: "The card does not have the serial that was reserved for it: scrap the card.",
  },
  CARD_TARGET: {
    fault: "card",
    retry: false,
    next: "The applet is for another product: check the batch and targetId in the profile.",
  },
  CARD_KEY_SIGNATURE: {
    fault: "card",
    retry: true,
    next:
      "The card's key is not signed as it should be: present the card again. When it repeats, it is scrapped.",
  },
  CARD_TEST_FAILED: {
    fault: "card",
    retry: false,
    next: "The card failed a factory test: scrap it.",
  },
  CARD_NOT_ATTESTED: {
    fault: "card",
    retry: true,
    next: "The card does not say that it is attested: present it again. When it repeats, it is scrapped.",
  },
  CARD_NOT_LOCKED: {
    fault: "card",
    retry: true,
    next: "The card does not confirm that it is locked: present it again. When it repeats, it is scrapped.",
  },
  CERTIFICATE_REFUSED: {
    fault: "peer",
    retry: true,
    next:
      "The attestation service sent a certificate that is not this card's. Nothing was written: tell its operator.",
  },
  ISSUER_MISMATCH: {
    fault: "configuration",
    retry: false,
    next: "The service's issuer key is not the batch's: use the batch file of this factory.",
  },
  STATION_STOPPED: {
    fault: "usage",
    retry: true,
    next: "The station was stopped: present the card again when it runs. It is not lost.",
  },
});
