/**
 * A provider's node: `node_main.ts --config FILE`. One JSON line on standard output says that it serves; logs go to standard
 * error; SIGTERM and SIGINT drain.
 */

import { parseArgs } from "node:util";
import { splitAddress } from "shared/base/configuration.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import { runMain, stopOnSignals } from "shared/base/run_main.ts";
import { readText } from "shared/base/text_file.ts";
import type { EventName } from "shared/log/events.ts";
import { NO_EVENT_LOG, type ServiceEventLog } from "shared/log/writer/event_log.ts";
import { openDatabaseEventLog } from "shared/log/writer/service_event_log.ts";
import { readiness } from "shared/service/readiness.ts";
import { readTlsFiles, watchTlsFiles } from "shared/service/tls_files.ts";
import { openAdmin } from "shared/transport/admin_listener.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { openMtlsListener } from "shared/transport/mtls_listener.ts";
import { openConfiguredDatabase } from "shared/transport/postgres/config.ts";
import type { Database } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { requestMetrics } from "shared/service/request_metrics.ts";
import { ProviderService } from "../service/provider_service.ts";
import { hourClock, recoverLog } from "../service/recover_log.ts";
import { KeySetSource } from "../transport/key_set_source.ts";
import { PROVIDER_MIGRATIONS } from "../transport/migrations.ts";
import { ANCHORS_ONLY, requireAnchors } from "../transport/recover_log.ts";
import { ProviderStore } from "../transport/store.ts";
import { VaultClient } from "../vault/vault_client.ts";
import { type NodeConfig, readNodeConfig } from "./node_config.ts";
import { nodeApp } from "./node_http.ts";
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
  const files = await readTlsFiles(tls, "orchestrators");
  let { trust } = files;
  const database = openConfiguredDatabase(config.name, config.database);
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
  const metrics = requestMetrics("provider");
  let draining = false;
  const ready = readiness(
    [
      { name: "database", probe: () => store.ping() },
      { name: "vault", probe: () => vault.describe() },
      { name: "event-log", probe: () => events.writable ? Promise.resolve() : Promise.reject() },
    ],
    () => draining,
    clock,
    log,
  );
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
  const admin = openAdmin(splitAddress(config.admin), { registry: metrics.registry, ready });
  const listener = await openMtlsListener(splitAddress(config.listen), files.keys, app.fetch).catch(
    async (error) => {
      await admin.close();
      throw error;
    },
  );
  const care = (everyMs: number, work: () => Promise<unknown>, warn: (fault: { code: string }) => void) =>
    setInterval(() =>
      work().catch((error) => {
        const code = codeOf(error);
        warn({ code });
        tell("provider.care-failed", code);
      }), everyMs);
  const { rewriteMinutes } = limits;
  const watch = watchTlsFiles(tls, "orchestrators", files, {
    log,
    changed(next) {
      ({ trust } = next);
      listener.renew(next.keys);
    },
    failed: (error) => tell("provider.care-failed", codeOf(error)),
  });
  const timers = [
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
    watch.stop();
    await listener.drain(limits.drainMs);
    await admin.close();
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
  const own = openConfiguredDatabase(`${name}-log`, { ...config.database, connections: LOG_CONNECTIONS });
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

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { config: { type: "string" } } });
  if (values.config === undefined) throw new CodedError("PROVIDER_USAGE", "Cannot start: give --config FILE");
  const config = await readNodeConfig(values.config);
  const log = createLogger("provider", { bound: { instance: config.name } });
  const running = await startNode(config, log);
  stopOnSignals(() => running.stop(), log);
  console.log(JSON.stringify({ ready: true, listen: running.listen, admin: running.admin }));
}

if (import.meta.main) await runMain("the node", main);
