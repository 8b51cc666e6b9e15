/** Text files that a service's configuration names. */

import { CodedError, defineErrors } from "./errors.ts";

/** Text of a file. @throws {CodedError} `SERVICE_FILE`. */
export async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("SERVICE_FILE", `Cannot read ${path}: it is missing or closed to us`, {}, error);
  }
}

defineErrors({
  SERVICE_FILE: {
    fault: "configuration",
    retry: false,
    next: "Give the path of a readable file, within the process's read permission.",
  },
});
