/** The error of a service's listeners. */

import { defineErrors } from "../base/errors.ts";

defineErrors({
  SERVICE_LISTEN: {
    fault: "configuration",
    retry: true,
    next: "Another program has this address, or it is not of this machine: change `listen` or `admin`.",
  },
});
