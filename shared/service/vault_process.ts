/**
 * The life of a vault's process: `init --config FILE` makes the keys that are missing, `serve --config FILE` serves its one caller
 * over pipes. It holds a token and has no network permission in either.
 */

import { parseArgs } from "node:util";
import { CodedError, EXIT_CODES } from "../base/errors.ts";
import { runMain } from "../base/run_main.ts";
import type { Logger } from "../base/log.ts";
import type { Hsm } from "../transport/hsm.ts";
import { type HsmConfig, openConfiguredHsm } from "../transport/hsm_section.ts";

/** What one kind of vault does. */
export interface VaultProcess<C extends { readonly hsm: HsmConfig }> {
  /** Code of a wrong command line: a row of the caller's table. */
  readonly usage: string;
  /** Reads the configuration. */
  read(file: string): C | Promise<C>;
  /** Where its process tells what it does. */
  logger(config: C): Logger;
  /** Makes what is missing; repeated freely. */
  init(config: C, hsm: Hsm): Promise<void>;
  /** Serves until the process is ended, which may be at any time. */
  serve(config: C, hsm: Hsm, log: Logger): Promise<never>;
}

async function run<C extends { readonly hsm: HsmConfig }>(
  vault: VaultProcess<C>,
  args: readonly string[],
): Promise<void> {
  const { positionals, values } = parseArgs({
    args: [...args],
    options: { config: { type: "string" } },
    allowPositionals: true,
  });
  const [verb] = positionals;
  if (values.config === undefined || positionals.length !== 1 || (verb !== "init" && verb !== "serve")) {
    throw new CodedError(vault.usage, "Cannot start: say init or serve, and --config FILE");
  }
  const config = await vault.read(values.config);
  const log = vault.logger(config);
  const hsm = await openConfiguredHsm(config.hsm, log);
  if (verb === "serve") {
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      Deno.addSignalListener(name, () => {
        hsm.close().finally(() => Deno.exit(EXIT_CODES.ok));
      });
    }
    await vault.serve(config, hsm, log);
  }
  try {
    await vault.init(config, hsm);
  } finally {
    await hsm.close();
  }
}

/** Runs a vault's process to its end; what went wrong is told by its code, with the exit code of its fault. */
export async function runVaultProcess<C extends { readonly hsm: HsmConfig }>(
  vault: VaultProcess<C>,
  args: readonly string[],
): Promise<void> {
  await runMain("the vault", () => run(vault, args));
}
