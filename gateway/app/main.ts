/**
 * The gateway process: `main.ts --config FILE [--check]`. One JSON line on standard output when it serves; logs on standard
 * error. SIGTERM and SIGINT drain, SIGHUP reloads.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import "../transport/errors.ts";
import { gatheredLines } from "../transport/log_lines.ts";
import { GatewayConfig } from "./config.ts";
import { readConfig } from "./config_file.ts";
import { checkGateway, type Gateway, startGateway } from "./gateway.ts";

/** Runs the process; resolves to its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const { config, check } = readArguments(args);
    if (check) {
      await checkGateway(config);
      console.log(JSON.stringify({ ok: true, config }));
      return EXIT_CODES.ok;
    }
    const { log } = await readConfig(config, GatewayConfig);
    const logger = createLogger("gateway", { level: log.level, write: gatheredLines().write });
    const gateway = await startGateway(config, { logger });
    console.log(JSON.stringify({ ready: true, listen: gateway.listen, admin: gateway.admin }));
    return await untilStopped(gateway, logger);
  } catch (error) {
    return report(error);
  }
}

function readArguments(args: readonly string[]): { config: string; check: boolean } {
  let values: { config?: string; check?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: { config: { type: "string" }, check: { type: "boolean", default: false } },
      strict: true,
    }));
  } catch (error) {
    const why = error instanceof Error ? error.message : "unknown option";
    throw new CodedError("GATEWAY_USAGE", `Cannot read the arguments: ${why}`);
  }
  if (values.config === undefined) throw new CodedError("GATEWAY_USAGE", "Cannot start: --config is missing");
  return { config: values.config, check: values.check ?? false };
}

function untilStopped(gateway: Gateway, logger: ReturnType<typeof createLogger>): Promise<number> {
  return new Promise((resolve) => {
    const stop = () => void gateway.drain().then(() => resolve(EXIT_CODES.ok));
    Deno.addSignalListener("SIGTERM", stop);
    Deno.addSignalListener("SIGINT", stop);
    Deno.addSignalListener("SIGHUP", () => {
      gateway.reload().catch((error) => logger.error("reload-refused", { code: codeOf(error), error }));
    });
  });
}

function report(error: unknown): number {
  const code = codeOf(error);
  const row = errorRow(code);
  const message = error instanceof Error ? error.message : "unknown fault";
  console.error(`${code}: ${message}\n${row.next}`);
  return EXIT_CODES[row.fault];
}

if (import.meta.main) Deno.exit(await main(Deno.args));
