/** Error codes of the CAP reader and writer. */

import { defineErrors } from "../../base/errors.ts";

const REBUILD = "The file is not a whole CAP file: fetch or build it again and compare its checksum.";

/** The CAP table; registered on import. */
export const CAP_ERRORS = defineErrors({
  CAP_ZIP: { fault: "configuration", retry: false, next: REBUILD },
  CAP_CHECKSUM: { fault: "configuration", retry: false, next: REBUILD },
  CAP_TOO_LARGE: {
    fault: "configuration",
    retry: false,
    next: "A CAP file has at most 1 MiB and each component at most 65,538 bytes: this is something else.",
  },
  CAP_MISSING: {
    fault: "configuration",
    retry: false,
    next: "Convert the package again: a component is not in the file.",
  },
  CAP_DUPLICATE: {
    fault: "configuration",
    retry: false,
    next: "Put one package into a CAP file; take the second one out.",
  },
  CAP_HEADER: { fault: "configuration", retry: false, next: REBUILD },
  CAP_FORMAT: {
    fault: "configuration",
    retry: false,
    next: "Convert the package for Java Card 2.1 to 3.0.5 (compact CAP, format 2.1 to 2.3).",
  },
  CAP_COMPONENT: { fault: "configuration", retry: false, next: REBUILD },
  CAP_WRITE: {
    fault: "usage",
    retry: false,
    next: "Give AIDs of 5 to 16 bytes, a version of two bytes, a smaller payload.",
  },
});
