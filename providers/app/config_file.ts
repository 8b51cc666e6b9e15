/** Reads a configuration of this package: YAML, checked as a whole, paths relative to the file. */

import { isAbsolute, join, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { CodedError, defineErrors } from "shared/base/errors.ts";

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

/** `host:port`; port 0 takes a free one. */
export const Address = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "not host:port");

/** Reads and checks a file. @throws {CodedError} `PROVIDER_CONFIG` with all faults, `PROVIDER_FILE`. */
export async function readConfigFile<T>(
  file: string,
  schema: (path: z.ZodType<string>) => z.ZodType<T>,
): Promise<T> {
  const folder = resolve(file, "..");
  const path = z.string().min(1).max(4096).transform((text) => isAbsolute(text) ? text : join(folder, text));
  let value: unknown;
  try {
    value = parse(await readText(file));
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError("PROVIDER_CONFIG", `Cannot use configuration ${file}: it is no YAML`);
  }
  const result = schema(path).safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) =>
    `${file}: ${issue.path.join(".") || "the file"}: ${issue.message}`
  );
  throw new CodedError("PROVIDER_CONFIG", `Cannot use configuration:\n${faults.join("\n")}`);
}

/** Text of a file. @throws {CodedError} `PROVIDER_FILE`. */
export async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("PROVIDER_FILE", `Cannot read ${path}: it is missing or closed to us`, {}, error);
  }
}

/** Host and port of an address. */
export function splitAddress(address: string): { hostname: string; port: number } {
  const colon = address.lastIndexOf(":");
  return {
    hostname: address.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(address.slice(colon + 1)),
  };
}
