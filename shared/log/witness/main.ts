/**
 * The witness process: `main.ts --config FILE [--init | --check]`. One JSON line on standard output when it serves; logs on
 * standard error. SIGTERM and SIGINT drain.
 */

import { parseArgs } from "node:util";
import { CodedError, EXIT_CODES } from "../../base/errors.ts";
import { createLogger } from "../../base/log.ts";
import { runMain } from "../../base/run_main.ts";
import { parseWitnessConfig } from "./config.ts";
import { checkWitness, initWitness, startWitness } from "./process.ts";

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { config: { type: "string" }, init: { type: "boolean" }, check: { type: "boolean" } },
  });
  if (values.config === undefined) {
    throw new CodedError("WITNESS_CONFIG", "Cannot start: --config is missing");
  }
  const config = parseWitnessConfig(values.config, await readConfig(values.config));
  const log = createLogger("log-witness", { bound: { witness: config.name } });
  if (values.init || values.check) {
    const vkey = await (values.init ? initWitness : checkWitness)(config, log);
    console.log(JSON.stringify({ ok: true, vkey }));
    Deno.exit(EXIT_CODES.ok);
  }
  const running = await startWitness(config, log);
  const stop = () => {
    running.stop().then(() => Deno.exit(EXIT_CODES.ok), (error) => {
      log.error("witness.stop-failed", { error });
      Deno.exit(EXIT_CODES.bug);
    });
  };
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  console.log(
    JSON.stringify({ ready: true, listen: running.listen, admin: running.admin, vkey: running.vkey }),
  );
}

async function readConfig(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    throw new CodedError("WITNESS_CONFIG", `Cannot read ${file}: ${(error as Error).name}`);
  }
}

if (import.meta.main) await runMain("the witness", main);
