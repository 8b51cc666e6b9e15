/** Error codes of the virtual card. Status words are answers, not errors: these are faults around the card. */

import { defineErrors } from "shared/base/errors.ts";

/** Table of this folder's codes. */
export const VIRTUAL_CARD_ERRORS = defineErrors({
  VCARD_OPTIONS: {
    fault: "configuration",
    retry: false,
    next: "Correct the option that the message names; device/card/options.ts describes each.",
  },
  VCARD_STATE_UNREADABLE: {
    fault: "configuration",
    retry: false,
    next: "Give the state file of a virtual card, or a path that does not exist yet for a new card.",
  },
  VCARD_STATE_LOCKED: {
    fault: "usage",
    retry: true,
    next: "Another process holds this card: a card is in one reader at a time.",
  },
  VCARD_NOT_POWERED: { fault: "bug", retry: false, next: "Power the card on before the first command." },
  VCARD_TIMING: {
    fault: "usage",
    retry: false,
    next: "Give p71, or JSON with defaultMs, byInsMs and perByteMs (device/card/timing.ts).",
  },
  VCARD_FAULT_PLAN: {
    fault: "usage",
    retry: false,
    next: "Give KIND:INDEX, for example after-execution:12 (kinds: before, after-execution, after-answer).",
  },
  CARD_APP_USAGE: { fault: "usage", retry: false, next: "`rk help card` says what the command takes." },
  VCARD_SLOT: { fault: "usage", retry: false, next: "Name a slot of the feeder: 0 is the first." },
});
