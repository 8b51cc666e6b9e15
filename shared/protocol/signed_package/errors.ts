/** Error codes of packages and their signatures: each says which of the station's questions was answered with no. */

import { defineErrors } from "../../base/errors.ts";

const TAKE_BOTH =
  "Take both files, CAP and .signed.json, from the release again; `rk package verify` tells when they are right.";

/** The PACKAGE table; registered on import. */
export const PACKAGE_ERRORS = defineErrors({
  PACKAGE_FILE: {
    fault: "configuration",
    retry: false,
    next: "Put the CAP file and its .signed.json where the profile says, or give the right paths.",
  },
  PACKAGE_FORMAT: {
    fault: "configuration",
    retry: false,
    next: "Give the .signed.json that `rk package sign` wrote (docs/signed_package.md), unchanged.",
  },
  PACKAGE_UNSIGNED: {
    fault: "configuration",
    retry: false,
    next: "Have the package signed (`rk package sign`): only test cards can be loaded with an unsigned one.",
  },
  PACKAGE_ALTERED: { fault: "configuration", retry: false, next: TAKE_BOTH },
  PACKAGE_HASH: { fault: "configuration", retry: false, next: TAKE_BOTH },
  PACKAGE_AID: { fault: "configuration", retry: false, next: TAKE_BOTH },
  PACKAGE_VERSION: { fault: "configuration", retry: false, next: TAKE_BOTH },
  PACKAGE_NAME: { fault: "configuration", retry: false, next: TAKE_BOTH },
  PACKAGE_KEY: {
    fault: "configuration",
    retry: false,
    next: "Load only what the release key signed: compare the key with that of the ceremony's record.",
  },
  PACKAGE_SIGNATURE: { fault: "configuration", retry: false, next: TAKE_BOTH },
  PACKAGE_DOMAIN: {
    fault: "configuration",
    retry: false,
    next: "Sign the package for the domain that verifies it on this card: `rk package sign --domain AID`.",
  },
  PACKAGE_OTHER: {
    fault: "configuration",
    retry: false,
    next: "Use the package that the profile names, or create a batch whose profile names this one.",
  },
});
