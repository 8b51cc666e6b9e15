/**
 * The gateway process: `main.ts --config FILE [--check] [--handed SOCKETS [--change upgrade|rollback]]`. One JSON line on standard
 * output when it serves; logs on standard error. SIGTERM and SIGINT drain, SIGHUP reloads. With `--handed` it serves on sockets that
 * its parent holds. Then SIGUSR2 drains with patience, because another process serves there already; SIGURG reloads what is restored;
 * SIGWINCH lets the log go, or takes it again; each has a line too, and `{"log":"wanted"}` asks for the log of the one before.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import "../transport/errors.ts";
import { gatheredLines } from "../transport/log_lines.ts";
import { GatewayConfig } from "./config.ts";
import { readConfig } from "./config_file.ts";
import { type HandedSockets, readHanded } from "./handed_sockets.ts";
import { type Change, checkGateway, type Gateway, startGateway } from "./gateway.ts";

/** Runs the process; resolves to its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const { config, check, sockets, change } = readArguments(args);
    if (check) {
      await checkGateway(config);
      console.log(JSON.stringify({ ok: true, config }));
      return EXIT_CODES.ok;
    }
    const { log } = await readConfig(config, GatewayConfig);
    const logger = createLogger("gateway", { level: log.level, write: gatheredLines().write });
    const askForLog = () => console.log(JSON.stringify({ log: "wanted" }));
    const gateway = await startGateway(config, {
      logger,
      change,
      askForLog,
      ...(sockets ? { sockets } : {}),
    });
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
  change: Change | undefined;
} {
  let values: { config?: string; check?: boolean; handed?: string; change?: string };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string" },
        check: { type: "boolean", default: false },
        handed: { type: "string" },
        change: { type: "string" },
      },
      strict: true,
    }));
  } catch (error) {
    const why = error instanceof Error ? error.message : "unknown option";
    throw new CodedError("GATEWAY_USAGE", `Cannot read the arguments: ${why}`);
  }
  if (values.config === undefined) throw new CodedError("GATEWAY_USAGE", "Cannot start: --config is missing");
  const { config, check = false, handed, change } = values;
  if (change !== undefined && change !== "upgrade" && change !== "rollback") {
    throw new CodedError("GATEWAY_USAGE", "Cannot read --change: expected upgrade or rollback");
  }
  return { config, check, sockets: handed === undefined ? undefined : readHanded(handed), change };
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
    const messageOf = (error: unknown) => error instanceof Error ? error.message : "unknown fault";
    const reload = (change?: "rollback") => () => {
      gateway.reload(change).then(() => tell({ reloaded: true }), (error) => {
        const code = codeOf(error);
        logger.error("reload-refused", { code, error });
        tell({ reloaded: false, code, message: messageOf(error) });
      });
    };
    Deno.addSignalListener("SIGHUP", reload());
    if (!supervised) return;
    // Does nothing but to interrupt what waits in the kernel (cli/gateway/held_socket.ts says why).
    Deno.addSignalListener("SIGCONT", () => {});
    Deno.addSignalListener("SIGURG", reload("rollback"));
    Deno.addSignalListener("SIGWINCH", () => {
      gateway.turnLog().then((log) => tell({ log }), (error) => {
        logger.error("log-released", { code: codeOf(error), error });
        tell({ log: "failed" });
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
