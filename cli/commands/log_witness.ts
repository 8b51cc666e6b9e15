/** `rk log witness` runs a witness for others' logs; `rk log evidence` explains and verifies what one kept. */

import { dirname } from "node:path";
import type { Command } from "commander";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { parseWitnessConfig, type WitnessConfig } from "shared/log/witness/config.ts";
import { action, type CommonOptions } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import type { Substitution } from "../process/permissions.ts";
import { runForeground } from "../process/foreground.ts";

/** Variables that lead common PKCS#11 libraries to their configuration; they are paths. */
const LIBRARY_VARIABLES = ["SOFTHSM2_CONF", "YUBIHSM_PKCS11_CONF"];

interface WitnessOptions {
  config: string;
  init?: boolean;
  check?: boolean;
}

/** Registers `witness` and `evidence` below `rk log`. */
export function registerLogWitness(log: Command): void {
  log.command("witness")
    .description(
      "cosign others' logs (C2SP tlog-witness); docs/operations/witness.md explains the configuration",
    )
    .requiredOption("--config <file>", "YAML configuration")
    .option(
      "--init",
      "make the key and the state folder when they are missing, print the verifier key, then end",
    )
    .option("--check", "check the configuration and everything it names, print the verifier key, then end")
    .action(action(async (options: WitnessOptions) => await runForeground(await witnessSpec(options))));
  log.command("evidence")
    .description("verify an evidence file from itself alone, and say in plain words what it proves")
    .argument("<file>", "evidence file that a witness kept")
    .option(
      "--vkey <key>",
      "verifier key of the log that you trust; repeat it (default: the keys in the file, which prove only that their owner signed)",
      (value: string, before: string[] = []) => [...before, value],
    )
    .option("--json", "the last line is one JSON object")
    .addHelpText(
      "after",
      "\nExit codes: 0 the log is proven to have signed two histories; 10 genuine, but an honest log could have come to this;" +
        "\n4 forged, changed, or signed by another key.",
    )
    .action(action(async (file: string, options: CommonOptions & { vkey?: string[] }) => {
      const path = absolute(file);
      return await runForeground({
        name: "log-evidence",
        module: "shared/log/witness/evidence_main.ts",
        permissions: "log-reader",
        substitution: { ".rk/log": path },
        args: [
          path,
          ...(options.json ? ["--json"] : []),
          ...(options.vkey ?? []).flatMap((key) => ["--vkey", key]),
        ],
      });
    }));
}

/** The witness's process, with leave for what its configuration names and nothing else. */
export async function witnessSpec(options: WitnessOptions): Promise<Omit<ChildSpec, "logFile">> {
  const file = absolute(options.config);
  const config = parseWitnessConfig(file, await readText(file));
  const pkcs11 = config.key.kind === "pkcs11";
  const env = LIBRARY_VARIABLES.map((name) => [name, Deno.env.get(name)] as const)
    .filter((pair): pair is readonly [string, string] => pkcs11 && pair[1] !== undefined);
  return {
    name: "log-witness",
    module: "shared/log/witness/main.ts",
    permissions: pkcs11 ? "log-witness-pkcs11" : "log-witness",
    substitution: witnessSubstitution(file, config, options.init ?? false),
    args: ["--config", file, ...(options.init ? ["--init"] : []), ...(options.check ? ["--check"] : [])],
    ...(env.length > 0 ? { env: Object.fromEntries(env) } : {}),
  };
}

function witnessSubstitution(file: string, config: WitnessConfig, init: boolean): Substitution {
  const { tls, key, logs, state } = config;
  const mirrors = logs.flatMap(({ mirror }) => mirror === undefined ? [] : [mirror]);
  const keyFiles = key.kind === "file"
    ? [key.file]
    : key.kind === "software"
    ? [key.file, key.passphraseFile]
    : [key.pinFile];
  const highWater = config.highWaterFile ?? `${state}/high-water`;
  return {
    "127.0.0.1:8497": config.listen,
    "127.0.0.1:8498": config.admin,
    "127.0.0.1:8495": mirrors.flatMap((mirror) => "url" in mirror ? [hostOf(mirror.url)] : []),
    ".rk/log-witness/config": [
      file,
      ...keyFiles,
      ...(tls === undefined ? [] : [tls.certificate, tls.key]),
      ...(tls?.clients === undefined ? [] : [tls.clients.authority]),
      ...(tls?.clients?.revocationList === undefined ? [] : [tls.clients.revocationList]),
      ...mirrors.flatMap((mirror) =>
        "folder" in mirror ? [mirror.folder] : mirror.authority === undefined ? [] : [mirror.authority]
      ),
    ],
    ".rk/log-witness/high-water": [highWater, `${highWater}.new`],
    // Only the making of a key writes beside the state.
    ".rk/log-witness/state": init && key.kind !== "pkcs11" ? [state, dirname(key.file)] : state,
    ...(key.kind === "pkcs11" ? { "/usr/lib/softhsm/libsofthsm2.so": key.library } : {}),
  };
}

function hostOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port || "443"}`;
}

async function readText(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    throw new CodedError("LOG_WITNESS_FILE", `Cannot read ${file}: ${(error as Error).name}`);
  }
}

defineErrors({
  LOG_WITNESS_FILE: {
    fault: "configuration",
    retry: false,
    next: "Give a readable YAML file; docs/operations/witness.md shows one.",
  },
});
