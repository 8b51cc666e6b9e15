/** Error codes of the TLV codecs. */

import { defineErrors } from "../../base/errors.ts";

const NEXT = "The other side sent data that its specification does not allow: note the card and the step.";

/** The TLV table; registered on import. */
export const TLV_ERRORS = defineErrors({
  TLV_TRUNCATED: { fault: "peer", retry: false, http: 400, next: NEXT },
  TLV_INDEFINITE: { fault: "peer", retry: false, http: 400, next: NEXT },
  TLV_LENGTH: { fault: "peer", retry: false, http: 400, next: NEXT },
  TLV_TAG: { fault: "peer", retry: false, http: 400, next: NEXT },
  TLV_TOO_MANY: { fault: "peer", retry: false, http: 400, next: NEXT },
  TLV_MISSING: { fault: "peer", retry: false, http: 400, next: NEXT },
  TLV_DUPLICATE: { fault: "peer", retry: false, http: 400, next: NEXT },
});
