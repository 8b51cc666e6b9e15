/** Codes of the orchestrator. */

import { defineErrors } from "shared/base/errors.ts";

const PROVIDER =
  "A backup provider does not do what the protocol says. Nothing was lost: tell whoever runs the service.";

/** Rows of the `ORCHESTRATOR_` codes. */
export const ORCHESTRATOR_ERRORS = defineErrors({
  ORCHESTRATOR_DEVICE_REFUSED: {
    fault: "peer",
    retry: false,
    http: 422,
    next:
      "The device or its owner said no, or is in another state than this needs. Look at the device, then start again.",
  },
  ORCHESTRATOR_DEVICE: {
    fault: "peer",
    retry: false,
    http: 422,
    next:
      "The device's answers are not what the protocol says: use a genuine device, connected directly, and start again.",
  },
  ORCHESTRATOR_DEVICE_UNKNOWN: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "The device's certificate is of no maker that this service knows.",
  },
  ORCHESTRATOR_PROVIDER: { fault: "peer", retry: false, http: 502, next: PROVIDER },
  ORCHESTRATOR_IDENTITIES: { fault: "peer", retry: false, http: 502, next: PROVIDER },
  ORCHESTRATOR_BATCH: {
    fault: "usage",
    retry: false,
    http: 409,
    next:
      "Ask for the session's present step, and answer that one. A step that was answered keeps its answer.",
  },
  ORCHESTRATOR_SESSION_UNKNOWN: {
    fault: "usage",
    retry: false,
    http: 404,
    next: "There is no such session of yours: start a new one.",
  },
  ORCHESTRATOR_SESSION_OTHER: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "This identifier belongs to another session: draw a new one.",
  },
  ORCHESTRATOR_BUSY: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Another request works on this session: send the same again in a moment.",
  },
  ORCHESTRATOR_GIVEN_UP: {
    fault: "usage",
    retry: false,
    http: 410,
    next:
      "The session was given up or took too long: start a new one. Nothing of it is left at any provider.",
  },
});
