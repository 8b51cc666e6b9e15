/** Which token a command uses: a file (YAML or JSON) or options, and its opening. */

import { isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";

const Path = z.string().min(1).max(4096);
const Environment = z.record(z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/), z.string()).optional();

const Pkcs11 = z.strictObject({
  kind: z.literal("pkcs11").default("pkcs11"),
  library: Path,
  tokenLabel: z.string().min(1).max(32),
  pinFile: Path,
  /** Variables that the vendor's library reads; paths, never a PIN. */
  environment: Environment,
});
const Software = z.strictObject({
  kind: z.literal("software").default("software"),
  file: Path,
  passphraseFile: Path,
});

/** A token of either kind, paths absolute. */
export type TokenConfig = z.infer<typeof Pkcs11> | z.infer<typeof Software>;

/** The same as it may be given on a command line. */
export interface TokenOptions {
  readonly library?: string | undefined;
  readonly tokenLabel?: string | undefined;
  readonly pinFile?: string | undefined;
  readonly file?: string | undefined;
  readonly passphraseFile?: string | undefined;
}

/**
 * Checks a token's configuration.
 * @param folder that relative paths count from.
 * @throws {CodedError} `TOKEN_CONFIG` naming the fields.
 */
export function checkTokenConfig(value: unknown, folder: string): TokenConfig {
  const isPkcs11 = typeof value === "object" && value !== null && "library" in value;
  const parsed = (isPkcs11 ? Pkcs11 : Software).safeParse(value);
  if (!parsed.success) {
    const fields = parsed.error.issues.map((issue) => issue.path.join(".") || issue.message);
    throw new CodedError("TOKEN_CONFIG", `Cannot use token configuration: ${fields.join(", ")}`, { fields });
  }
  const at = (path: string) => isAbsolute(path) ? path : join(folder, path);
  return parsed.data.kind === "pkcs11"
    ? { ...parsed.data, library: at(parsed.data.library), pinFile: at(parsed.data.pinFile) }
    : { ...parsed.data, file: at(parsed.data.file), passphraseFile: at(parsed.data.passphraseFile) };
}

/** Reads the text of a configuration file. @throws {CodedError} `TOKEN_CONFIG`. */
export function parseTokenConfig(text: string, folder: string): TokenConfig {
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    throw new CodedError("TOKEN_CONFIG", "Cannot use token configuration: it is neither YAML nor JSON");
  }
  return checkTokenConfig(value, folder);
}

/** Options as a configuration; undefined when none is given. @throws {CodedError} `TOKEN_CONFIG`. */
export function tokenFromOptions(options: TokenOptions, folder: string): TokenConfig | undefined {
  const { library, tokenLabel, pinFile, file, passphraseFile } = options;
  const given = Object.entries({ library, tokenLabel, pinFile, file, passphraseFile })
    .filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : checkTokenConfig(Object.fromEntries(given), folder);
}

/** The command line that names a token to a process of ours: paths and labels, no secret. */
export function tokenArguments(config: TokenConfig): string[] {
  return config.kind === "pkcs11"
    ? ["--library", config.library, "--token-label", config.tokenLabel, "--pin-file", config.pinFile]
    : ["--file", config.file, "--passphrase-file", config.passphraseFile];
}

/**
 * Opens a token.
 * @param options `make`: make the file of a software HSM when there is none. Default `false`.
 * @throws {CodedError} `HSM_UNAVAILABLE`, and those of the adapter.
 */
export async function openToken(
  config: TokenConfig,
  logger: Logger,
  options: { readonly make?: boolean } = {},
): Promise<Hsm> {
  if (config.kind === "pkcs11") {
    const { library, tokenLabel, pinFile } = config;
    return await openPkcs11Hsm({ library, tokenLabel, pinFile, logger });
  }
  const { file, passphraseFile } = config;
  if (!options.make && !await isFile(file)) {
    throw new CodedError("HSM_UNAVAILABLE", `Cannot open software HSM ${file}: there is none`, {
      next: "Make it: `rk hsm init`.",
    });
  }
  return await openSoftwareHsm({ file, passphraseFile, logger });
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

defineErrors({
  TOKEN_CONFIG: {
    fault: "configuration",
    retry: false,
    next:
      "Give library, tokenLabel and pinFile of a PKCS#11 token, or file and passphraseFile of a software HSM.",
  },
});
