/** The options by which a command is told its token, and what a process needs to use that token. */

import type { Command } from "commander";
import { parse } from "yaml";
import { CodedError } from "shared/base/errors.ts";
import {
  checkTokenConfig,
  parseTokenConfig,
  tokenArguments,
  type TokenConfig,
  tokenFromOptions,
  type TokenOptions,
} from "factory/app/token_config.ts";
import { absolute, exists } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { DEFAULT_SPINE, STANDARD_FOLDER } from "../spine/layout.ts";

/** Standard path of a PKCS#11 library in the permission sets. */
export const STANDARD_PKCS11_LIBRARY = "/usr/lib/softhsm/libsofthsm2.so";
/** Variables that lead common libraries to their configuration; they are paths. */
export const LIBRARY_VARIABLES = ["SOFTHSM2_CONF", "YUBIHSM_PKCS11_CONF"];

/** Options that name a token. */
export interface TokenCommandOptions extends TokenOptions {
  readonly hsm?: string;
}

/** Adds the options to a command. */
export function withTokenOptions(command: Command): Command {
  return command
    .option(
      "--hsm <file>",
      "the token's configuration: { library, tokenLabel, pinFile } or { file, passphraseFile }",
    )
    .option("--library <file>", "PKCS#11 library of the token's maker")
    .option("--token-label <label>", "label of the token")
    .option("--pin-file <file>", "file with the user's PIN, mode 0600")
    .option("--file <file>", "key file of a software HSM, not for production")
    .option("--passphrase-file <file>", "file with its passphrase, mode 0600");
}

/** The token that options name; without any the local spine's. @throws {CodedError} `TOKEN_CONFIG`. */
export async function tokenOf(options: TokenCommandOptions): Promise<TokenConfig> {
  const { hsm } = options;
  const given = tokenFromOptions(options, Deno.cwd());
  if (hsm !== undefined) {
    if (given !== undefined) {
      throw new CodedError("TOKEN_CONFIG", "Cannot use token: --hsm and options of a token are both given");
    }
    const path = absolute(hsm);
    let text: string;
    try {
      text = await Deno.readTextFile(path);
    } catch (error) {
      throw new CodedError("TOKEN_CONFIG", `Cannot read ${path}: ${(error as Error).name}`);
    }
    return parseTokenConfig(text, path.replace(/\/[^/]*$/, ""));
  }
  if (given !== undefined) return given;
  return await spineToken();
}

/** The local spine's token, as its attestation service is configured. */
async function spineToken(): Promise<TokenConfig> {
  const service = `${DEFAULT_SPINE}/attestation-a`;
  if (!await exists(`${service}/config.yaml`)) {
    throw new CodedError("TOKEN_CONFIG", "Cannot use token: none is given, and there is no local spine");
  }
  const { hsm } = parse(await Deno.readTextFile(`${service}/config.yaml`)) as { hsm: unknown };
  const config = checkTokenConfig(hsm, service);
  return config.kind === "software"
    ? config
    : { ...config, environment: { SOFTHSM2_CONF: `${DEFAULT_SPINE}/hsm/softhsm2.conf` } };
}

/**
 * What a process needs to use a token.
 * @param writable the process may make the keys of a software HSM.
 */
export function tokenSpec(
  config: TokenConfig,
  writable = false,
): Pick<ChildSpec, "args" | "substitution" | "env"> {
  const args = tokenArguments(config);
  if (config.kind === "software") {
    // Its lock and its next version are beside the file, so to make a key is to write the folder.
    const own = writable ? config.file.replace(/\/[^/]*$/, "") : config.file;
    return {
      args,
      substitution: {
        [`${STANDARD_FOLDER}/hsm`]: own,
        [`${STANDARD_FOLDER}/hsm/passphrase`]: config.passphraseFile,
      },
    };
  }
  const inherited = LIBRARY_VARIABLES.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    args,
    substitution: {
      [`${STANDARD_FOLDER}/hsm`]: config.pinFile,
      [STANDARD_PKCS11_LIBRARY]: config.library,
    },
    env: { ...Object.fromEntries(inherited), ...config.environment },
  };
}
