/** Codes of the wallet's command line. */

import { defineErrors } from "shared/base/errors.ts";

/** Rows of the wallet process. */
export const WALLET_APP_ERRORS = defineErrors({
  WALLET_USAGE: { fault: "usage", retry: false, next: "`rk help wallet` tells what the options take." },
  WALLET_BUSY: {
    fault: "service",
    retry: true,
    next: "One program at a time: let the other one finish and close its connection.",
  },
  WALLET_REVOCATIONS: {
    fault: "configuration",
    retry: true,
    next: "Give --revocations a file or address that GET /v1/revocations of the attestation service fills.",
  },
  WALLET_TOKEN: {
    fault: "usage",
    retry: false,
    next: "Begin with the token that stands in the --token-file of `rk wallet serve`.",
  },
});
