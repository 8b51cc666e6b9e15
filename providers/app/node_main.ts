/**
 * A provider's node: `node_main.ts --config FILE`. One JSON line on standard output says that it serves; logs go to standard
 * error; SIGTERM and SIGINT drain.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import { readTrust } from "shared/protocol/x509/trust.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { ProviderService } from "../service/provider_service.ts";
import { PROVIDER_MIGRATIONS } from "../transport/migrations.ts";
import { ProviderStore } from "../transport/store.ts";
import { VaultClient } from "../vault/vault_client.ts";
import { readText, splitAddress } from "./config_file.ts";
import { type NodeConfig, readNodeConfig } from "./node_config.ts";
import { nodeApp } from "./node_http.ts";
import { openAdmin, openListener } from "./node_listener.ts";
import { nodeMetrics } from "./node_metrics.ts";
import "../provider_errors.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** A running node. */
export interface RunningNode {
  readonly listen: string;
  readonly admin: string;
  stop(): Promise<void>;
}

/** Starts a node. @throws {CodedError} of whatever is not there: files, database, addresses. */
export async function startNode(config: NodeConfig, log: Logger): Promise<RunningNode> {
  const clock = SYSTEM_CLOCK;
  const { tls, limits } = config;
  const authority = async (entry: NodeConfig["tls"]["gateways"]) => ({
    certificates: { name: entry.authority, pem: await readText(entry.authority) },
    ...(entry.revocationList === undefined
      ? {}
      : { revocationList: { name: entry.revocationList, pem: await readText(entry.revocationList) } }),
    whenStale: entry.whenStale,
  });
  const gateways = await authority(tls.gateways);
  const readTrusts = async () => ({
    gateways: await readTrust([await authority(tls.gateways)]),
    orchestrators: await readTrust([await authority(tls.orchestrators)]),
  });
  let trust = await readTrusts();
  const keys = {
    certificate: await readText(tls.certificate),
    key: await readText(tls.key),
    authority: gateways.certificates.pem,
  };
  const database = open(config);
  if (config.database.migrate) await migrate(database, PROVIDER_MIGRATIONS);
  const store = new ProviderStore(database);
  const vault = new VaultClient({ pipes: config.pipes, deadlineMs: limits.deadlineMs });
  const service = new ProviderService({
    vault,
    store,
    clock,
    status: () => textOf(config.statusFile),
    keySet: () => textOf(config.keySetFile),
  });
  const metrics = nodeMetrics();
  let draining = false;
  const ready = async () => {
    if (draining) return ["draining"];
    const probes = [["database", store.ping()], ["vault", vault.describe()]] as const;
    const failing = await Promise.all(probes.map(([name, probe]) => probe.then(() => undefined, () => name)));
    return failing.filter((name) => name !== undefined);
  };
  const app = nodeApp({
    step: (step, session, body) => service.step(step, session, body),
    trust: () => trust,
    metrics,
    log,
    clock,
    limits,
    path: config.path,
    draining: () => draining,
  });
  const admin = openAdmin(splitAddress(config.admin), metrics, ready);
  const listener = await openListener(splitAddress(config.listen), keys, app.fetch).catch(async (error) => {
    await admin.close(0);
    throw error;
  });
  const care = (everyMs: number, event: string, work: () => Promise<unknown>) =>
    setInterval(() => work().catch((error) => log.warning(event, { code: codeOf(error) })), everyMs);
  const timers = [
    care(MINUTE_MS, "tls.reload-failed", async () => trust = await readTrusts()),
    care(60 * MINUTE_MS, "sessions.not-forgotten", () => store.forget(Math.floor(clock.now() / DAY_MS))),
    ...(limits.rewriteMinutes === 0
      ? []
      : [care(limits.rewriteMinutes * MINUTE_MS, "rows.not-rewritten", () => store.rewrite())]),
  ];
  const stop = async () => {
    draining = true;
    for (const timer of timers) clearInterval(timer);
    await listener.close(limits.drainMs);
    await admin.close(0);
    vault.close();
    await database.close();
    log.info("stopped");
  };
  return { listen: listener.address, admin: admin.address, stop };
}

/** A file's text as it is now; null when it is not there, which locks the service or leaves no verifier's key. */
async function textOf(path: string): Promise<string | null> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw new CodedError("PROVIDER_FILE", `Cannot read ${path}`, {}, error);
  }
}

function open({ name, database }: NodeConfig) {
  const { url, tls, passwordFile, connections } = database;
  return openDatabase({
    url,
    applicationName: name,
    max: connections,
    ...(passwordFile === undefined ? {} : { passwordFile }),
    ...(tls === undefined ? {} : {
      tls: {
        caFile: tls.authority,
        certFile: tls.certificate,
        keyFile: tls.key,
        ...(tls.serverName === undefined ? {} : { serverName: tls.serverName }),
      },
    }),
  });
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { config: { type: "string" } } });
  if (values.config === undefined) throw new CodedError("PROVIDER_USAGE", "Cannot start: give --config FILE");
  const config = await readNodeConfig(values.config);
  const log = createLogger("provider", { bound: { instance: config.name } });
  const running = await startNode(config, log);
  const stop = () => {
    running.stop().then(() => Deno.exit(EXIT_CODES.ok), (error) => {
      log.error("stop-failed", { code: codeOf(error) });
      Deno.exit(EXIT_CODES.bug);
    });
  };
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  console.log(JSON.stringify({ ready: true, listen: running.listen, admin: running.admin }));
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    const code = codeOf(error);
    const { fault, next } = errorRow(code);
    console.error(`${code}: ${error instanceof CodedError ? error.message : "the node failed"}\n${next}`);
    Deno.exit(EXIT_CODES[fault]);
  }
}
