/**
 * The orchestrator's process: `main.ts serve|init --config FILE`. One JSON line on standard output says that it serves, or what
 * the root has to sign; logs go to standard error; SIGTERM and SIGINT drain.
 */

import { parseArgs } from "node:util";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { runMain, stopOnSignals } from "shared/base/run_main.ts";
import { readText } from "shared/base/text_file.ts";
import { parseOrchestratorConfig } from "./config.ts";
import { initOrchestrator, startOrchestrator } from "./process.ts";

async function main(args: string[]): Promise<void> {
  const { verb, file } = readArguments(args);
  const config = parseOrchestratorConfig(file, await readText(file));
  const log = createLogger("orchestrator", { bound: { instance: config.name } });
  if (verb === "init") return console.log(JSON.stringify(await initOrchestrator(config, log)));
  const running = await startOrchestrator(config, log);
  stopOnSignals(() => running.stop(), log);
  console.log(JSON.stringify({ ready: true, listen: running.listen, admin: running.admin }));
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

if (import.meta.main) await runMain("the orchestrator", main);
