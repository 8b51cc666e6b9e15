/**
 * The process of `rk hsm`: the factory's keys in its token. Public halves alone are ever printed.
 *
 *     hsm_main.ts init|status|keys TOKEN [--json]
 *
 * TOKEN: `--library FILE --token-label LABEL --pin-file FILE`, or `--file FILE --passphrase-file FILE`.
 */

import { parseArgs } from "node:util";
import { CodedError, defineErrors, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import {
  type KeyReport,
  makeFactoryKeys,
  readToken,
  type TokenReport,
} from "../service/factory_keys/keys.ts";
import { type CommandOutput, runCommand } from "./command_process.ts";
import { openToken, type TokenConfig, tokenFromOptions } from "./token_config.ts";

const OPTIONS = {
  library: { type: "string" },
  "token-label": { type: "string" },
  "pin-file": { type: "string" },
  file: { type: "string" },
  "passphrase-file": { type: "string" },
  json: { type: "boolean" },
} as const;

/** Verbs of the process. */
const VERBS = ["init", "status", "keys"] as const;
type Verb = (typeof VERBS)[number];

async function run(verb: Verb, config: TokenConfig, output: CommandOutput): Promise<number> {
  const hsm = await openToken(config, createLogger("hsm"), { make: verb === "init" });
  try {
    const made = verb === "init" ? await makeFactoryKeys(hsm) : [];
    const token = await readToken(hsm);
    const ready = token.missing.length === 0 && token.other.length === 0;
    if (verb === "keys") {
      for (const key of token.keys) output.say(keyLines(key).join("\n"));
      output.result({ keys: token.keys });
      return EXIT_CODES.ok;
    }
    for (const line of tokenLines(token)) output.say(line);
    if (verb === "init") {
      output.say(
        made.length > 0 ? `made ${made.join(", ")}` : "every key was there already: nothing was made",
      );
      output.result({ ...token, ready, made });
    } else {
      output.say(
        ready ? "ready: every key of a factory is there" : "not ready: `rk hsm init` makes what is missing",
      );
      output.result({ ...token, ready });
    }
    return ready ? EXIT_CODES.ok : EXIT_CODES.configuration;
  } finally {
    await hsm.close();
  }
}

function tokenLines(token: TokenReport): string[] {
  return [
    `token ${token.label}: ${token.model}, serial ${token.serial} (${token.kind})`,
    ...token.keys.flatMap(keyLines),
  ];
}

function keyLines(key: KeyReport): string[] {
  const what = key.kind === "master" ? "AES-256 master" : `signing, ${key.curve}`;
  const state = key.state === "there"
    ? ""
    : key.state === "missing"
    ? "  MISSING"
    : "  ANOTHER KIND OF KEY HAS THIS LABEL";
  return [
    `  ${key.label.padEnd(18)} ${what.padEnd(18)} ${key.purpose ?? "not one of the factory's"}${state}`,
    ...(key.publicKey === null ? [] : [
      `      public key  ${key.publicKey}`,
      `      SHA-256     ${key.publicKeySha256}`,
    ]),
  ];
}

/** Runs a command line and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await runCommand("hsm", args.includes("--json"), async (output) => {
    let parsed;
    try {
      parsed = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    } catch (error) {
      throw usage((error as Error).message);
    }
    const { values, positionals } = parsed;
    const verb = VERBS.find((known) => known === positionals[0]);
    const config = tokenFromOptions({
      library: values.library,
      tokenLabel: values["token-label"],
      pinFile: values["pin-file"],
      file: values.file,
      passphraseFile: values["passphrase-file"],
    }, Deno.cwd());
    if (verb === undefined || positionals.length > 1 || config === undefined) {
      throw usage("give init, status or keys, and a token");
    }
    return await run(verb, config, output);
  });
}

function usage(message: string): CodedError {
  return new CodedError("HSM_USAGE", `Cannot run: ${message}`);
}

defineErrors({
  HSM_USAGE: { fault: "usage", retry: false, next: "`rk help hsm init` tells what the options take." },
});

// Native libraries keep threads that would hold the process open.
if (import.meta.main) Deno.exit(await main(Deno.args));
