/** How a companion reaches the orchestrator: one YAML file. Relative paths begin at its folder. */

import { isAbsolute, join, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { CodedError, defineErrors } from "shared/base/errors.ts";

const File = z.strictObject({
  /** Base addresses, equal to one another. */
  gateways: z.array(z.url({ protocol: /^https$/ })).min(1).max(8),
  /** Authority of the gateways' certificates; this wallet's certificate and its key. */
  tls: z.strictObject({
    authority: z.string().min(1),
    certificate: z.string().min(1),
    key: z.string().min(1),
  }),
});
/** A checked configuration; paths are absolute. */
export type CompanionConfig = z.infer<typeof File>;

/** Reads a configuration. @throws {CodedError} `COMPANION_CONFIG`. */
export function readCompanionConfig(path: string): CompanionConfig {
  let value: unknown;
  try {
    value = parse(Deno.readTextFileSync(path));
  } catch (error) {
    throw new CodedError(
      "COMPANION_CONFIG",
      `Cannot read ${path}: it is missing, closed to us, or no YAML`,
      {},
      error,
    );
  }
  const result = File.safeParse(value);
  if (!result.success) {
    const faults = result.error.issues.map((issue) =>
      `${issue.path.join(".") || "the file"}: ${issue.message}`
    );
    throw new CodedError("COMPANION_CONFIG", `Cannot use ${path}:\n${faults.join("\n")}`);
  }
  const { gateways, tls } = result.data;
  const at = (name: string) => isAbsolute(name) ? name : join(resolve(path, ".."), name);
  return {
    gateways,
    tls: { authority: at(tls.authority), certificate: at(tls.certificate), key: at(tls.key) },
  };
}

defineErrors({
  COMPANION_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "Give --config FILE with `gateways` and `tls` (authority, certificate, key).",
  },
});
