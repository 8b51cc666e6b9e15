/**
 * The update service's process: `update_main.ts --config FILE`. One JSON line on standard output says that it serves; logs go to
 * standard error; SIGTERM and SIGINT drain.
 */

import { parseArgs } from "node:util";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { runMain, stopOnSignals } from "shared/base/run_main.ts";
import { readUpdateConfig } from "./update_config.ts";
import { startUpdate } from "./update_process.ts";

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { config: { type: "string" } } });
  if (values.config === undefined) throw new CodedError("UPDATE_USAGE", "Cannot start: give --config FILE");
  const config = readUpdateConfig(values.config);
  const log = createLogger("update", { bound: { instance: config.name } });
  const running = await startUpdate(config, log);
  stopOnSignals(() => running.stop(), log);
  console.log(JSON.stringify({ ready: true, listen: running.listen, admin: running.admin }));
}

defineErrors({
  UPDATE_USAGE: { fault: "usage", retry: false, next: "`rk update-service --help` shows what there is." },
});

if (import.meta.main) await runMain("the update service", main);
