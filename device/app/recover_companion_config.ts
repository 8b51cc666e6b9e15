/** How a companion reaches the orchestrator: one YAML file. Relative paths begin at its folder. */

import { z } from "zod";
import { parseConfig, pathFrom } from "shared/base/configuration.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";

function fileSchema(file: string) {
  const Path = pathFrom(file);
  return z.strictObject({
    /** Base addresses, equal to one another. */
    gateways: z.array(z.url({ protocol: /^https$/ })).min(1).max(8),
    /** Authority of the gateways' certificates; this wallet's certificate and its key. */
    tls: z.strictObject({ authority: Path, certificate: Path, key: Path }),
  });
}
/** A checked configuration; paths are absolute. */
export type CompanionConfig = z.infer<ReturnType<typeof fileSchema>>;

/** Reads a configuration. @throws {CodedError} `COMPANION_CONFIG`. */
export function readCompanionConfig(path: string): CompanionConfig {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    const message = `Cannot read ${path}: it is missing or closed to us`;
    throw new CodedError("COMPANION_CONFIG", message, {}, error);
  }
  return parseConfig(path, text, fileSchema(path), { code: "COMPANION_CONFIG" });
}

defineErrors({
  COMPANION_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "Give --config FILE with `gateways` and `tls` (authority, certificate, key).",
  },
});
