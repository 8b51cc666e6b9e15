/** Codes of SCP03. A peer never learns which check failed; these are for our own side. */

import { defineErrors } from "../../base/errors.ts";

/** Rows of the `SCP03_` codes. */
export const SCP03_ERRORS = defineErrors({
  SCP03_KEY_LENGTH: {
    fault: "configuration",
    retry: false,
    next: "Give three AES keys of one length: 16, 24 or 32 bytes.",
  },
  SCP03_CHALLENGE_LENGTH: { fault: "bug", retry: false, next: "Report it." },
  SCP03_MALFORMED: {
    fault: "card",
    retry: false,
    next: "The card's answer to INITIALIZE UPDATE is no SCP03 answer: check the card's model and profile.",
  },
  SCP03_PROTOCOL: {
    fault: "card",
    retry: false,
    next: "The card offers another secure channel protocol than SCP03: check the key version in the profile.",
  },
  SCP03_KEY_VERSION: {
    fault: "card",
    retry: false,
    next: "The card answered with another key version than asked: check the key version in the profile.",
  },
  SCP03_CARD_CRYPTOGRAM: {
    fault: "card",
    retry: false,
    next:
      "The card does not have these keys. Nothing was tried on it; do not try other keys unasked, cards lock.",
  },
  SCP03_INITIALIZE_REFUSED: {
    fault: "card",
    retry: false,
    next: "The card refused INITIALIZE UPDATE: check the key version and which application is selected.",
  },
  SCP03_AUTHENTICATION_FAILED: {
    fault: "card",
    retry: false,
    next: "The card refused our cryptogram. Do not try other keys: cards count failures and lock.",
  },
  SCP03_LEVEL: {
    fault: "configuration",
    retry: false,
    next: "Use security level 00, 01, 03, 11, 13 or 33.",
  },
  SCP03_CLASS: { fault: "bug", retry: false, next: "Report it." },
  SCP03_TOO_LONG: {
    fault: "usage",
    retry: false,
    next: "Send less in one command: at level 33 at most 239 bytes fit, with S16 at most 223.",
  },
  SCP03_RMAC_MISSING: {
    fault: "card",
    retry: false,
    next: "The answer carries no MAC: it may not be the card's. Select the application again and start over.",
  },
  SCP03_RMAC_WRONG: {
    fault: "card",
    retry: false,
    next:
      "The answer's MAC is wrong: something alters the traffic. Select the application again and start over.",
  },
  SCP03_DECRYPTION: {
    fault: "card",
    retry: false,
    next: "The answer does not decrypt. Select the application again and start over.",
  },
  SCP03_DEAD: {
    fault: "usage",
    retry: false,
    next: "The secure channel ended. Select the application again and open a new one.",
  },
  SCP03_BUSY: {
    fault: "bug",
    retry: false,
    next: "Report it: one command at a time goes through a secure channel.",
  },
  SCP03_DEK_LENGTH: { fault: "bug", retry: false, next: "Report it: pad to whole blocks of 16 bytes first." },
});
