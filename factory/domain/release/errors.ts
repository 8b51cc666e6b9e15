/** Error codes of the release side. */

import { defineErrors } from "shared/base/errors.ts";

/** The release side's table; registered on import. */
export const RELEASE_SIDE_ERRORS = defineErrors({
  RELEASE_USAGE: { fault: "usage", retry: false, next: "`rk help release` tells what the options take." },
  RELEASE_FOLDER: {
    fault: "configuration",
    retry: false,
    next:
      "Give the folder of a repository that `rk release init` made, whole; restore it from its backup if a file is gone.",
  },
  RELEASE_EXISTS: {
    fault: "usage",
    retry: false,
    next: "A published version stays as it is: give the changed package a version of its own.",
  },
  RELEASE_COUNTER: {
    fault: "usage",
    retry: false,
    next:
      "A security counter never goes down, and a release replaces older ones only: correct --counter or --replaces.",
  },
  RELEASE_PENDING: {
    fault: "usage",
    retry: true,
    next:
      "`rk release show` tells what is pending and who has signed; have the missing holders sign: `rk release sign`.",
  },
  RELEASE_HOLDER: {
    fault: "usage",
    retry: false,
    next: "This key is not one that signs this: use the label and the token of a holder (`rk release show`).",
  },
});
