/** Faults that stop a gateway from starting or working; refusals of requests are in domain/refusals.ts. */

import { defineErrors } from "shared/base/errors.ts";

defineErrors({
  GATEWAY_USAGE: { fault: "usage", retry: false, next: "Run: rk gateway --config FILE [--check]" },
  GATEWAY_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "Correct the lines named above; `--check` reads the file without serving.",
  },
  GATEWAY_FILE: {
    fault: "configuration",
    retry: false,
    next: "Check the path, which is relative to the configuration file, and the file's permissions.",
  },
  GATEWAY_API: {
    fault: "configuration",
    retry: false,
    next:
      "Correct the description at the place named above; `rk gateway describe` writes those of our services.",
  },
  GATEWAY_LISTEN: {
    fault: "configuration",
    retry: true,
    next: "Stop the program that has this address, or configure another.",
  },
  GATEWAY_RELOAD_FIXED: {
    fault: "configuration",
    retry: false,
    next:
      "Nothing was taken. `rk gateway upgrade` replaces the process in place; another address needs a new instance.",
  },
  GATEWAY_LOG_HANDED: {
    fault: "service",
    retry: true,
    next: "Another process of this gateway has the log now and is about to serve: ask again.",
  },
  GATEWAY_CANARY: {
    fault: "configuration",
    retry: false,
    next:
      "The gateway does not serve while it cannot prove that it refuses: see which canary was not refused " +
      "for its own reason, and check authorities, revocation lists and canary files.",
  },
});
