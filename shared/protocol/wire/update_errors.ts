/** Codes of the update service and its vault; the wallet knows them too. */

import { defineErrors } from "../../base/errors.ts";

const AGAIN = "Begin again: `rk wallet update`. The card is as it was, or goes on where it stands.";

/** The UPDATE table; registered on import. */
export const UPDATE_ERRORS = defineErrors({
  UPDATE_CHALLENGE: { fault: "usage", retry: false, http: 409, next: AGAIN },
  UPDATE_CARD_CERTIFICATE: {
    fault: "card",
    retry: false,
    http: 403,
    next: "This is no genuine card of ours: do not use it.",
  },
  UPDATE_CARD_REVOKED: {
    fault: "card",
    retry: false,
    http: 403,
    next: "This card's certificate was revoked: do not use it, and ask whoever sold it.",
  },
  UPDATE_CARD_SIGNATURE: { fault: "card", retry: false, http: 403, next: AGAIN },
  UPDATE_CARD_OTHER: {
    fault: "card",
    retry: false,
    http: 403,
    next:
      "Another card was on the reader than the one that proved itself: put the right one there, and begin again.",
  },
  UPDATE_CARD_KEYS: {
    fault: "card",
    retry: false,
    http: 403,
    next:
      "The card does not have the upgrade keys of this factory: it cannot be updated here. It works as before.",
  },
  UPDATE_CARD_REFUSED: {
    fault: "card",
    retry: true,
    http: 422,
    next:
      "Begin again: `rk wallet update`. If the card refuses again, tell whoever runs the service what it says.",
  },
  UPDATE_RESTORE_FAILED: {
    fault: "service",
    retry: false,
    http: 422,
    next: "Run `rk wallet update` again: it loads the card's old package, and the seed is there as before.",
  },
  UPDATE_PACKAGE: {
    fault: "peer",
    retry: false,
    http: 422,
    next: "The package is not the one that the key holders signed: fetch it again.",
  },
  UPDATE_NOT_OFFERED: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "`rk wallet update --check` tells what is offered to this card, and why not.",
  },
  UPDATE_AUTHORIZATION: {
    fault: "usage",
    retry: false,
    http: 403,
    next:
      "This card's upgrade was not begun here, or with another package: use the wallet that began it, or ask whoever runs the service.",
  },
  UPDATE_SESSION_GONE: { fault: "service", retry: false, http: 410, next: AGAIN },
  UPDATE_STEP: { fault: "usage", retry: false, http: 409, next: AGAIN },
  UPDATE_BUSY: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Too many updates are going on: try again in a minute. The card is as it was.",
  },
  UPDATE_REVOCATIONS: {
    fault: "service",
    retry: true,
    http: 503,
    next: "The service has no fresh list of revoked cards: whoever runs it must see to `revocations`.",
  },
  UPDATE_VAULT: {
    fault: "service",
    retry: true,
    http: 503,
    next:
      "The vault does not answer: whoever runs the service must start it. The card goes on where it stands.",
  },
  UPDATE_MALFORMED: { fault: "usage", retry: false, http: 400, next: "Send what /openapi.json describes." },
});
