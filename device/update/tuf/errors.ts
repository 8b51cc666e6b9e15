/** Error codes of the updater's metadata client. */

import { defineErrors } from "shared/base/errors.ts";

const LATER = "Try again later or over another network; what is trusted here stays as it was.";

/** The TUF table; registered on import. */
export const TUF_ERRORS = defineErrors({
  TUF_OPTIONS: {
    fault: "usage",
    retry: false,
    next: "Give --metadata-dir, and what the command needs besides: `rk tuf-client --help`.",
  },
  TUF_NO_ROOT: {
    fault: "configuration",
    retry: false,
    next: "Begin with a root that you trust: `rk tuf-client --metadata-dir DIR init ROOT`.",
  },
  TUF_BUSY: {
    fault: "service",
    retry: true,
    next: "Another program uses this folder of trusted metadata: wait until it has ended.",
  },
  TUF_STORE: {
    fault: "installation",
    retry: true,
    next: "Check the folder of trusted metadata: it must be there, be yours, and have room.",
  },
  TUF_UNREACHABLE: { fault: "peer", retry: true, next: LATER },
  TUF_TOO_LONG: { fault: "peer", retry: true, next: LATER },
  TUF_REFUSED: {
    fault: "peer",
    retry: true,
    next:
      "The repository's answer is not what its key holders signed, or too old: check this computer's clock; if it is right, try again later.",
  },
  TUF_TARGET_MISSING: {
    fault: "usage",
    retry: false,
    next: "Give a target that the repository has: `rk release show` lists the releases.",
  },
  TUF_TARGET_ALTERED: {
    fault: "peer",
    retry: true,
    next: "The file is not the one that was signed; it was thrown away. Try again later.",
  },
});
