/** What a test says when something it needs is not installed: it fails, and names the line that installs it. */

import { CodedError, defineErrors } from "shared/base/errors.ts";

/** The error of a missing component. */
export function missingComponent(what: string, installLine: string): CodedError {
  return new CodedError("TEST_COMPONENT", `Cannot start ${what}: it is missing. Install it: ${installLine}`);
}

defineErrors({
  TEST_COMPONENT: {
    fault: "installation",
    retry: false,
    next: "Run the line that the message names, or `./rk test`, which does it with root or sudo.",
  },
});
