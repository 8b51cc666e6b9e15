/**
 * The gateway process: `main.ts --config FILE [--check] [--handed SOCKETS]`. One JSON line on standard output when it serves;
 * logs on standard error. SIGTERM and SIGINT drain, SIGHUP reloads. With `--handed` it serves on sockets that its parent
 * holds: then SIGUSR2 drains with patience, because another process serves there already, and each reload has a line too.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import "../transport/errors.ts";
import { gatheredLines } from "../transport/log_lines.ts";
import { GatewayConfig } from "./config.ts";
import { readConfig } from "./config_file.ts";
import { type HandedSockets, readHanded } from "./handed_sockets.ts";
import { checkGateway, type Gateway, startGateway } from "./gateway.ts";

/** Runs the process; resolves to its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const { config, check, sockets } = readArguments(args);
    if (check) {
      await checkGateway(config);
      console.log(JSON.stringify({ ok: true, config }));
      return EXIT_CODES.ok;
    }
    const { log } = await readConfig(config, GatewayConfig);
    const logger = createLogger("gateway", { level: log.level, write: gatheredLines().write });
    const gateway = await startGateway(config, { logger, ...(sockets ? { sockets } : {}) });
    console.log(JSON.stringify({ ready: true, listen: gateway.listen, admin: gateway.admin }));
    return await untilStopped(gateway, logger, sockets !== undefined);
  } catch (error) {
    return report(error);
  }
}

function readArguments(args: readonly string[]): {
  config: string;
  check: boolean;
  sockets: HandedSockets | undefined;
} {
  let values: { config?: string; check?: boolean; handed?: string };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string" },
        check: { type: "boolean", default: false },
        handed: { type: "string" },
      },
      strict: true,
    }));
  } catch (error) {
    const why = error instanceof Error ? error.message : "unknown option";
    throw new CodedError("GATEWAY_USAGE", `Cannot read the arguments: ${why}`);
  }
  if (values.config === undefined) throw new CodedError("GATEWAY_USAGE", "Cannot start: --config is missing");
  const { config, check = false, handed } = values;
  return { config, check, sockets: handed === undefined ? undefined : readHanded(handed) };
}

function untilStopped(gateway: Gateway, logger: Logger, supervised: boolean): Promise<number> {
  const tell = (line: Record<string, unknown>) => supervised && console.log(JSON.stringify(line));
  return new Promise((resolve) => {
    const stop = (patient: boolean) => () => void gateway.drain(patient).then(() => resolve(EXIT_CODES.ok));
    Deno.addSignalListener("SIGTERM", stop(false));
    Deno.addSignalListener("SIGINT", stop(false));
    if (supervised) {
      Deno.addSignalListener("SIGUSR2", stop(true));
      endWithParent(stop(false));
    }
    Deno.addSignalListener("SIGHUP", () => {
      gateway.reload().then(() => tell({ reloaded: true }), (error) => {
        const code = codeOf(error);
        logger.error("reload-refused", { code, error });
        tell({ reloaded: false, code, message: error instanceof Error ? error.message : "unknown fault" });
      });
    });
  });
}

/** How often a process on handed sockets looks whether their holder is still there, milliseconds. */
const PARENT_CHECK_MS = 1_000;

/** Without its parent nobody could replace or stop the process, and it would keep the address from the next one. */
function endWithParent(stop: () => void): void {
  const parent = Deno.ppid;
  const timer = setInterval(() => {
    if (Deno.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, PARENT_CHECK_MS);
}

function report(error: unknown): number {
  const code = codeOf(error);
  const row = errorRow(code);
  const message = error instanceof Error ? error.message : "unknown fault";
  console.error(`${code}: ${message}\n${row.next}`);
  return EXIT_CODES[row.fault];
}

if (import.meta.main) Deno.exit(await main(Deno.args));
