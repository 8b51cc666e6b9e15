/** Errors of the attestation service's front: transport, authentication, configuration. */

import { defineErrors } from "shared/base/errors.ts";

/** The table. Refusals of decisions are in domain/issuance/refusals.ts. */
export const ATTESTATION_ERRORS = defineErrors({
  ATTEST_USAGE: { fault: "usage", retry: false, next: "attestation_main.ts --config FILE" },
  ATTEST_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "Correct the line that is named; attestation_example.yaml explains every field.",
  },
  ATTEST_GATEWAY_REFUSED: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "This service is reached through the gateway only.",
  },
  ATTEST_IDENTITY: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "Present a valid client certificate of a station or a batch manager to the gateway.",
  },
  ATTEST_SIGNATURE: {
    fault: "peer",
    retry: false,
    http: 401,
    next: "Sign each request (RFC 9421) with the key that is configured for this sender; check the clock.",
  },
  ATTEST_CLOCK: {
    fault: "configuration",
    retry: false,
    http: 401,
    next:
      "The request's time and the service's differ by more than 300 s: set the sender's clock (the answer's Date tells the service's).",
  },
  ATTEST_IDEMPOTENCY_KEY: {
    fault: "usage",
    retry: false,
    http: 400,
    next: "Send an Idempotency-Key of 8 to 64 letters, digits, dots, colons, hyphens or underscores.",
  },
  ATTEST_MALFORMED: {
    fault: "usage",
    retry: false,
    http: 400,
    next: "Send what /openapi.json describes; `errors` names what is wrong.",
  },
  ATTEST_MEDIA_TYPE: { fault: "usage", retry: false, http: 415, next: "Send application/json." },
  ATTEST_BODY_TOO_LARGE: { fault: "usage", retry: false, http: 413, next: "Send at most 64 KiB." },
  ATTEST_ROUTE_UNKNOWN: { fault: "usage", retry: false, http: 404, next: "See /openapi.json." },
  ATTEST_BUSY: { fault: "service", retry: true, http: 503, next: "The service is busy: try again." },
  ATTEST_DEADLINE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "The service was too slow: try again; what was done already is answered again.",
  },
  ATTEST_DRAINING: { fault: "service", retry: true, http: 503, next: "This instance stops: try again." },
});
