/**
 * The attestation service's process: `attestation_main.ts --config FILE`. One JSON line on standard output says
 * that it serves; logs go to standard error; SIGTERM and SIGINT drain; SIGHUP reads the senders and their keys again.
 */

import { parseArgs } from "node:util";
import { CodedError } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { runMain, stopOnSignals } from "shared/base/run_main.ts";
import { parseAttestationConfig } from "./attestation_config.ts";
import { startAttestation } from "./attestation_process.ts";

async function main(args: string[]): Promise<void> {
  const file = configFile(args);
  const config = parseAttestationConfig(file, await readConfig(file));
  const log = createLogger("attestation", { bound: { instance: config.name } });
  const running = await startAttestation(config, log);
  stopOnSignals(() => running.stop(), log);
  // A file that cannot be used changes nothing: the senders stay as they are.
  Deno.addSignalListener("SIGHUP", () => {
    readConfig(file).then((text) => running.reload(parseAttestationConfig(file, text))).catch((error) => {
      log.error("senders.not-reloaded", { error });
      running.notReloaded(error);
    });
  });
  console.log(JSON.stringify({ ready: true, listen: running.listen, admin: running.admin }));
}

function configFile(args: string[]): string {
  const usage = () => new CodedError("ATTEST_USAGE", "Cannot start: give --config FILE and nothing else");
  try {
    const { values } = parseArgs({ args, options: { config: { type: "string" } } });
    if (values.config === undefined) throw usage();
    return values.config;
  } catch {
    throw usage();
  }
}

async function readConfig(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    throw new CodedError("ATTEST_CONFIG", `Cannot read configuration ${file}`, {}, error);
  }
}

if (import.meta.main) await runMain("the attestation service", main);
