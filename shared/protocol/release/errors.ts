/** Error codes of releases and their metadata. */

import { defineErrors } from "../../base/errors.ts";

const OTHER_MIRROR =
  "Do not go on with this repository's answer: try again later or from another place; if it stays so, report it.";

/** The RELEASE table; registered on import. */
export const RELEASE_ERRORS = defineErrors({
  RELEASE_METADATA: { fault: "peer", retry: true, http: 422, next: OTHER_MIRROR },
  RELEASE_SIGNATURES: { fault: "peer", retry: true, http: 422, next: OTHER_MIRROR },
  RELEASE_VERSION: { fault: "peer", retry: true, http: 422, next: OTHER_MIRROR },
  RELEASE_EXPIRED: {
    fault: "peer",
    retry: true,
    http: 422,
    next: "Check this computer's clock. If it is right, the repository is not kept up: try again later.",
  },
  RELEASE_THRESHOLD: {
    fault: "configuration",
    retry: false,
    http: 422,
    next: "Sign releases by at least three of five key holders: a lower threshold is refused.",
  },
  RELEASE_TARGET: {
    fault: "peer",
    retry: false,
    http: 422,
    next:
      "The release says too little or something wrong about its package: make it again with `rk release add`.",
  },
  RELEASE_MISSING: {
    fault: "usage",
    retry: false,
    http: 404,
    next: "Give the path of a release: `rk release show` lists them.",
  },
  RELEASE_HALT: {
    fault: "peer",
    retry: false,
    http: 422,
    next: "Only the halt key that a release names can halt it: publish the halt again with that key.",
  },
  RELEASE_HALTED: {
    fault: "service",
    retry: true,
    http: 409,
    next: "The rollout was halted: wait until the key holders go on with it. The card works as before.",
  },
});
