/** Reads the gateway's configuration files and those that they name. */

import type { z } from "zod";
import { parseConfig as parseChecked } from "shared/base/configuration.ts";
import { CodedError } from "shared/base/errors.ts";
import "../transport/errors.ts";

export { besideConfig, type ConfigFault } from "shared/base/configuration.ts";

/**
 * Parses and checks a text.
 * @param name How errors call the file.
 * @throws {CodedError} `GATEWAY_CONFIG` with every fault, one a line.
 */
export function parseConfig<S extends z.ZodType>(name: string, text: string, schema: S): z.infer<S> {
  return parseChecked(name, text, schema, { code: "GATEWAY_CONFIG" });
}

/** Reads, parses and checks a file. @throws {CodedError} `GATEWAY_FILE`, `GATEWAY_CONFIG`. */
export async function readConfig<S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S>> {
  return parseConfig(path, await readTextFile(path, "configuration"), schema);
}

/** Reads a text file that a configuration names. @throws {CodedError} `GATEWAY_FILE`. */
export async function readTextFile(path: string, what: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const why = error instanceof Error ? error.name : "unreadable";
    throw new CodedError("GATEWAY_FILE", `Cannot read ${what} ${path}: ${why}`, { path }, error);
  }
}
