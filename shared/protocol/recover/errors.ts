/** Codes of the Recover protocol. */

import { defineErrors } from "../../base/errors.ts";

const PEER =
  "The other side sent data that the Recover protocol does not allow: end the session and start a new one.";
const DISTRUST = "Do not trust what was sent: end the session, keep its log, and report it.";

/** Rows of the `RECOVER_` codes. */
export const RECOVER_ERRORS = defineErrors({
  RECOVER_MALFORMED: { fault: "peer", retry: false, http: 400, next: PEER },
  RECOVER_FIELD: {
    fault: "bug",
    retry: false,
    http: 500,
    next: "Give each field with the length that the protocol says.",
  },
  RECOVER_SEALED: { fault: "peer", retry: false, http: 400, next: PEER },
  RECOVER_CERTIFICATE: { fault: "peer", retry: false, http: 403, next: DISTRUST },
  RECOVER_POINT: { fault: "peer", retry: false, http: 400, next: DISTRUST },
  RECOVER_SCALAR: { fault: "peer", retry: false, http: 400, next: DISTRUST },
  RECOVER_SHARE: { fault: "peer", retry: false, http: 400, next: DISTRUST },
  RECOVER_SHARES_SAME: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "Two different providers have to release their shares.",
  },
  RECOVER_IDENTITY: {
    fault: "usage",
    retry: false,
    http: 400,
    next: "Backup name and identity texts are at most 195 bytes of UTF-8 together, and none is empty.",
  },
  RECOVER_ENTROPY: {
    fault: "usage",
    retry: false,
    http: 400,
    next: "Entropy has 16, 24 or 32 bytes: 12, 18 or 24 words.",
  },
});
