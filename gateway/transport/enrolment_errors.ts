/** Faults that stop the enrolment process from starting or working; refusals of requests are in domain/enrolment.ts. */

import { defineErrors } from "shared/base/errors.ts";

defineErrors({
  ENROL_USAGE: {
    fault: "usage",
    retry: false,
    next: "Run: rk gateway enrol | enrol-init | revoke | issued --config FILE; --help tells the options.",
  },
  ENROL_ISSUER: {
    fault: "configuration",
    retry: false,
    next: "Make key and certificate with `rk gateway enrol-init --config FILE`, or correct issuer.label.",
  },
  ENROL_LIST: { fault: "service", retry: true, next: "Try again; look at the other instances." },
  ENROL_NOTHING: {
    fault: "usage",
    retry: false,
    next: "`rk gateway issued --config FILE` shows serial numbers and identities.",
  },
});
