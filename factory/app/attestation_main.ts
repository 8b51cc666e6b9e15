/**
 * The attestation service's process: `attestation_main.ts --config FILE`. One JSON line on standard output says
 * that it serves; logs go to standard error; SIGTERM and SIGINT drain; SIGHUP reads the senders and their keys again.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { parseAttestationConfig } from "./attestation_config.ts";
import { startAttestation } from "./attestation_process.ts";

async function main(args: string[]): Promise<void> {
  const file = configFile(args);
  const config = parseAttestationConfig(file, await readConfig(file));
  const log = createLogger("attestation", { bound: { instance: config.name } });
  const running = await startAttestation(config, log);
  const stop = () => {
    // A crash of a token's library while it unloads is no failure of ours: leave at once.
    running.stop().then(() => Deno.exit(EXIT_CODES.ok), (error) => {
      log.error("stop-failed", { error });
      Deno.exit(EXIT_CODES.bug);
    });
  };
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
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

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    const code = codeOf(error);
    const { fault, next } = errorRow(code);
    const message = error instanceof Error ? error.message : String(error);
    console.error(`${code}: ${message}\n${next}`);
    Deno.exit(EXIT_CODES[fault]);
  }
}
