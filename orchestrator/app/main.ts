/**
 * The orchestrator's process: `main.ts --config FILE`. One JSON line on standard output says that it serves; logs go to standard
 * error; SIGTERM and SIGINT drain.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, defineErrors, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { parseOrchestratorConfig, readText } from "./config.ts";
import { startOrchestrator } from "./process.ts";

async function main(args: string[]): Promise<void> {
  const file = configFile(args);
  const config = parseOrchestratorConfig(file, await readText(file));
  const log = createLogger("orchestrator", { bound: { instance: config.name } });
  const running = await startOrchestrator(config, log);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    running.stop().then(() => Deno.exit(EXIT_CODES.ok), (error) => {
      log.error("stop-failed", { error });
      Deno.exit(EXIT_CODES.bug);
    });
  };
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  console.log(JSON.stringify({ ready: true, listen: running.listen }));
}

function configFile(args: string[]): string {
  const usage = () =>
    new CodedError("ORCHESTRATOR_USAGE", "Cannot start: give --config FILE and nothing else");
  try {
    const { values } = parseArgs({ args, options: { config: { type: "string" } } });
    if (values.config === undefined) throw usage();
    return values.config;
  } catch {
    throw usage();
  }
}

defineErrors({
  ORCHESTRATOR_USAGE: { fault: "usage", retry: false, next: "Give --config FILE." },
});

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
