/**
 * A provider's node: `node_main.ts --config FILE`. One JSON line on standard output says that it serves; logs go to standard
 * error; SIGTERM and SIGINT drain.
 */

import { parseArgs } from "node:util";
import { splitAddress } from "shared/base/configuration.ts";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import type { EventName } from "shared/log/events.ts";
import { NO_EVENT_LOG, type ServiceEventLog } from "shared/log/writer/event_log.ts";
import { openDatabaseEventLog } from "shared/log/writer/service_event_log.ts";
import { readTrust } from "shared/protocol/x509/trust.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { ProviderService } from "../service/provider_service.ts";
import { hourClock, recoverLog } from "../service/recover_log.ts";
import { KeySetSource } from "../transport/key_set_source.ts";
import { PROVIDER_MIGRATIONS } from "../transport/migrations.ts";
import { ANCHORS_ONLY, requireAnchors } from "../transport/recover_log.ts";
import { ProviderStore } from "../transport/store.ts";
import { VaultClient } from "../vault/vault_client.ts";
import { readText } from "./config_file.ts";
import { type NodeConfig, readNodeConfig } from "./node_config.ts";
import { nodeApp } from "./node_http.ts";
import { openAdmin, openListener } from "./node_listener.ts";
import { nodeMetrics } from "./node_metrics.ts";
import "../provider_errors.ts";

const MINUTE_MS = 60_000;
const LOG_CONNECTIONS = 2;
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
  const readTrusts = async () => ({
    gateways: await readTrust([await authority(tls.gateways)]),
    orchestrators: await readTrust([await authority(tls.orchestrators)]),
  });
  let trust = await readTrusts();
  const readKeys = async () => ({
    certificate: await readText(tls.certificate),
    key: await readText(tls.key),
    authority: await readText(tls.gateways.authority),
  });
  let keys = await readKeys();
  const database = open(config);
  if (config.database.migrate) await migrate(database, PROVIDER_MIGRATIONS);
  const { events, log: entered, close: closeLog } = await openLog(config, database, log).catch(
    async (error) => {
      await database.close();
      throw error;
    },
  );
  await events.record("provider.opened", { actor: events.self });
  const tell = (event: EventName, code: string) =>
    events.tell(event, { actor: events.self, outcome: "failed", reason: code });
  const store = new ProviderStore(database, entered);
  const vault = new VaultClient({ pipes: config.pipes, deadlineMs: limits.deadlineMs });
  const { keySetFile } = config;
  const source = await keySetSource(config, log);
  const keySet = keySetFile === undefined ? () => source!.current() : () => textOf(keySetFile);
  const service = new ProviderService({
    vault,
    store,
    clock,
    status: () => textOf(config.statusFile),
    keySet,
  });
  const metrics = nodeMetrics();
  let draining = false;
  const ready = async () => {
    if (draining) return ["draining"];
    const entering = events.writable ? Promise.resolve() : Promise.reject();
    const probes = [["database", store.ping()], ["vault", vault.describe()], [
      "event-log",
      entering,
    ]] as const;
    const failing = await Promise.all(probes.map(([name, probe]) => probe.then(() => undefined, () => name)));
    return failing.filter((name) => name !== undefined);
  };
  const app = nodeApp({
    step: (step, session, body) => service.step(step, session, body),
    trust: () => trust,
    metrics,
    log,
    events,
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
  const care = (everyMs: number, work: () => Promise<unknown>, warn: (fault: { code: string }) => void) =>
    setInterval(() =>
      work().catch((error) => {
        const code = codeOf(error);
        warn({ code });
        tell("provider.care-failed", code);
      }), everyMs);
  const { rewriteMinutes } = limits;
  const reloadTls = async () => {
    const [trusts, next] = [await readTrusts(), await readKeys()];
    trust = trusts;
    if (JSON.stringify(next) === JSON.stringify(keys)) return;
    listener.renew(next);
    keys = next;
  };
  const timers = [
    care(
      MINUTE_MS,
      reloadTls,
      (fault) => log.warning("tls.reload-failed", fault),
    ),
    care(
      60 * MINUTE_MS,
      () => store.forget(Math.floor(clock.now() / DAY_MS)),
      (fault) => log.warning("sessions.not-forgotten", fault),
    ),
    ...(rewriteMinutes === 0 ? [] : [
      care(
        rewriteMinutes * MINUTE_MS,
        () => store.rewrite(),
        (fault) => log.warning("rows.not-rewritten", fault),
      ),
    ]),
  ];
  const stop = async () => {
    draining = true;
    for (const timer of timers) clearInterval(timer);
    await listener.close(limits.drainMs);
    await admin.close(0);
    vault.close();
    source?.[Symbol.dispose]();
    events.tell("provider.stopped", { actor: events.self });
    await closeLog();
    await database.close();
    log.info("stopped");
  };
  return { listen: listener.address, admin: admin.address, stop };
}

/** The log has connections of its own: what it writes by itself never waits behind a step, and no step behind it. */
async function openLog(config: NodeConfig, database: Database, logger: Logger) {
  const { eventLog, name } = config;
  if (eventLog === undefined) {
    return { events: withoutLog(logger), log: ANCHORS_ONLY, close: () => Promise.resolve() };
  }
  const own = open({
    ...config,
    name: `${name}-log`,
    database: { ...config.database, connections: LOG_CONNECTIONS },
  });
  try {
    await requireAnchors(database);
    const surroundings = { process: name, clock: hourClock(SYSTEM_CLOCK), logger };
    const events = await openDatabaseEventLog(eventLog, own, surroundings);
    const close = async () => {
      await events.stop();
      await own.close();
    };
    return { events, log: recoverLog(events), close };
  } catch (error) {
    await own.close();
    throw error;
  }
}

function withoutLog(logger: Logger): ServiceEventLog {
  const message = "Nothing is entered in a tamper-evident log: give `eventLog`.";
  logger.warning("not-for-production", { what: "no-event-log", message });
  return NO_EVENT_LOG;
}

async function keySetSource({ keySet }: NodeConfig, log: Logger): Promise<KeySetSource | undefined> {
  if (keySet === undefined) return undefined;
  const { url, refreshSeconds } = keySet;
  const authority = keySet.authority === undefined ? {} : { authority: await readText(keySet.authority) };
  return new KeySetSource({ url, refreshSeconds, ...authority, clock: SYSTEM_CLOCK, log });
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
