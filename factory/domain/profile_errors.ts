/** Error codes of profiles and batch files. The message always names the field. */

import { defineErrors } from "shared/base/errors.ts";

/** Rows of the `PROFILE_` and `BATCH_FILE_` codes. */
export const PROFILE_ERRORS = defineErrors({
  PROFILE_NOT_JSON: {
    fault: "configuration",
    retry: false,
    next: "Write the profile as JSON: `rk profile template test-card` prints one with every field explained.",
  },
  PROFILE_FIELD: {
    fault: "configuration",
    retry: false,
    next: "Correct the field that the message names: `rk profile template NAME` explains each one.",
  },
  PROFILE_CONTRADICTION: {
    fault: "configuration",
    retry: false,
    next: "Two fields of the profile cannot both hold: change one of the two that the message names.",
  },
  PROFILE_TEMPLATE_UNKNOWN: {
    fault: "usage",
    retry: false,
    next: "Templates are test-card and recovery-key.",
  },
  PROFILE_CARD: {
    fault: "card",
    retry: false,
    next: "This is not the card that the profile describes: take it off, or correct the profile.",
  },
  BATCH_FILE_UNREADABLE: {
    fault: "configuration",
    retry: false,
    next: "Give the file that `rk batch create --out` wrote.",
  },
  BATCH_FILE_CHANGED: {
    fault: "configuration",
    retry: false,
    next:
      "The profile in the batch file is not the one of the batch: create a batch with the changed profile.",
  },
});
