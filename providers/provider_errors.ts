/** Codes of a backup provider. What a refusal was for stays in the provider's log: the caller learns no more than it needs. */

import { defineErrors } from "shared/base/errors.ts";

/** Rows of the `PROVIDER_` codes. */
export const PROVIDER_ERRORS = defineErrors({
  PROVIDER_MALFORMED: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "Send what the schema of the route says.",
  },
  PROVIDER_REFUSED: {
    fault: "peer",
    retry: false,
    http: 403,
    next:
      "Nothing was released, and nothing stored was lost. Start again with a new session; the provider's log has the reason.",
  },
  PROVIDER_EXISTS: {
    fault: "peer",
    retry: false,
    http: 409,
    next: "A backup of this identifier is in force: delete it first, or take another identifier.",
  },
  PROVIDER_ORDER: {
    fault: "peer",
    retry: false,
    http: 409,
    next: "This session is not at this step, or was there with other bytes: start a new session.",
  },
  PROVIDER_SESSION_UNKNOWN: { fault: "peer", retry: false, http: 404, next: "Start a new session." },
  PROVIDER_CONFLICT: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Another request changed the same backup: send the same request again.",
  },
  PROVIDER_LOCKED: {
    fault: "service",
    retry: false,
    http: 503,
    next: "The service is locked, until a quorum unlocks it. Nothing stored was lost.",
  },
  PROVIDER_VAULT: {
    fault: "service",
    retry: true,
    http: 503,
    next: "The vault process does not answer: send the same request again, and look at its log.",
  },
  PROVIDER_STATE: {
    fault: "service",
    retry: false,
    http: 500,
    next:
      "A stored record is not what the vault sealed for this place: stop, keep the database, and report it.",
  },
});
