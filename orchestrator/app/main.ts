/**
 * The orchestrator's process: `main.ts serve|init --config FILE`. One JSON line on standard output says that it serves, or what
 * the root has to sign; logs go to standard error; SIGTERM and SIGINT drain.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, defineErrors, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { parseOrchestratorConfig, readText } from "./config.ts";
import { initOrchestrator, startOrchestrator } from "./process.ts";

async function main(args: string[]): Promise<void> {
  const { verb, file } = readArguments(args);
  const config = parseOrchestratorConfig(file, await readText(file));
  const log = createLogger("orchestrator", { bound: { instance: config.name } });
  if (verb === "init") return console.log(JSON.stringify(await initOrchestrator(config, log)));
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

function readArguments(args: string[]): { verb: "serve" | "init"; file: string } {
  const usage = () =>
    new CodedError("ORCHESTRATOR_USAGE", "Cannot start: give serve or init, --config FILE, and nothing else");
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { config: { type: "string" } },
    });
    const [verb, ...more] = positionals;
    if (values.config === undefined || more.length > 0 || (verb !== "serve" && verb !== "init")) {
      throw usage();
    }
    return { verb, file: values.config };
  } catch {
    throw usage();
  }
}

defineErrors({
  ORCHESTRATOR_USAGE: { fault: "usage", retry: false, next: "Give serve or init, and --config FILE." },
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
