/** Codes of the Recovery Key applet's protocol. */

import { defineErrors } from "../../base/errors.ts";

const MALFORMED = "The other side sent data that spec/card.md does not allow: note the card and the step.";
const REJECT = "Do not trust this card. Keep it for inspection.";

/** Rows of the `RK_`, `CERTIFICATE_`, `CAPSULE_` and `MUTUAL_` codes. */
export const RECOVERY_KEY_ERRORS = defineErrors({
  RK_MALFORMED: { fault: "card", retry: false, next: MALFORMED },
  RK_FIELD: { fault: "usage", retry: false, next: "Give each field with the length that spec/card.md says." },
  CERTIFICATE_MALFORMED: { fault: "card", retry: false, http: 400, next: MALFORMED },
  CERTIFICATE_TAG_MISSING: { fault: "card", retry: false, http: 400, next: REJECT },
  CERTIFICATE_TAG_DUPLICATE: { fault: "card", retry: false, http: 400, next: REJECT },
  CERTIFICATE_TAG_UNKNOWN: { fault: "card", retry: false, http: 400, next: REJECT },
  CERTIFICATE_ORDER: { fault: "card", retry: false, http: 400, next: REJECT },
  CERTIFICATE_VALUE: { fault: "card", retry: false, http: 400, next: REJECT },
  CERTIFICATE_TOO_LONG: {
    fault: "usage",
    retry: false,
    http: 400,
    next: "At most 239 bytes fit one wrapped command.",
  },
  CAPSULE_MALFORMED: { fault: "card", retry: false, next: MALFORMED },
  CAPSULE_REFUSED: {
    fault: "card",
    retry: false,
    next: "The capsule does not open: end this session, select the applet again and start over.",
  },
  MUTUAL_CARD_REFUSED: {
    fault: "card",
    retry: false,
    next:
      "The card refused to show its certificate: its status must be attested or user personalized, and the applet freshly selected.",
  },
  MUTUAL_MALFORMED: { fault: "card", retry: false, next: MALFORMED },
  MUTUAL_CARD_CERTIFICATE: { fault: "card", retry: false, next: REJECT },
  MUTUAL_CARD_SERIAL: { fault: "card", retry: false, next: REJECT },
  MUTUAL_CARD_SIGNATURE: { fault: "card", retry: false, next: REJECT },
  MUTUAL_HOST_REFUSED: {
    fault: "card",
    retry: false,
    next:
      "The card refused our certificate: check that its issuer is the one in the card, and select the applet again.",
  },
});
