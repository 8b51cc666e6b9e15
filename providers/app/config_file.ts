/** Reads a configuration of this package: YAML, checked as a whole, paths relative to the file. */

import type { z } from "zod";
import { parseConfig, pathFrom } from "shared/base/configuration.ts";
import { defineErrors } from "shared/base/errors.ts";
import { readText } from "shared/base/text_file.ts";

defineErrors({
  PROVIDER_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "Correct the fields that are named; providers/app/*_example.yaml explain every one.",
  },
  PROVIDER_USAGE: { fault: "usage", retry: false, next: "Give --config FILE." },
  PROVIDER_FILE: {
    fault: "configuration",
    retry: false,
    next: "Give the path of a readable file, within the process's read permission.",
  },
});

/** Reads and checks a file. @throws {CodedError} `PROVIDER_CONFIG` with all faults, `SERVICE_FILE`. */
export async function readConfigFile<T>(
  file: string,
  schema: (path: z.ZodType<string>) => z.ZodType<T>,
): Promise<T> {
  return parseConfig(file, await readText(file), schema(pathFrom(file)), { code: "PROVIDER_CONFIG" });
}
