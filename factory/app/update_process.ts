/** One instance of the update service, from a checked configuration to a listener that serves. It holds no key of a card. */

import { Counter, Histogram, Registry } from "prom-client";
import { splitAddress } from "shared/base/configuration.ts";
import type { Logger } from "shared/base/log.ts";
import { logPage } from "shared/log/page.ts";
import { openFileEventLog } from "shared/log/writer/file_event_log.ts";
import { type EventLog, noEventLog } from "shared/log/writer/event_log.ts";
import { readTrust } from "shared/protocol/x509/trust.ts";
import { PipeCaller } from "shared/service/pipe_calls.ts";
import { readiness } from "shared/service/readiness.ts";
import { openAdmin } from "shared/transport/admin_listener.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { openMtlsListener } from "shared/transport/mtls_listener.ts";
import { openConfiguredDatabase } from "shared/transport/postgres/config.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { vaultBehind } from "../service/update/vault_calls.ts";
import { UpdateService } from "../service/update/update_service.ts";
import type { UpgradeStore } from "../transport/update_store/port.ts";
import { postgresUpgradeStore, UPGRADE_MIGRATIONS } from "../transport/update_store/postgres_store.ts";
import { sqliteUpgradeStore } from "../transport/update_store/sqlite_store.ts";
import { readNamed, type UpdateConfig } from "./update_config.ts";
import { updateApp } from "./update_http.ts";
import { openRevocations } from "./update_revocations.ts";

/** A running instance. */
export interface RunningUpdate {
  /** `host:port` of the mTLS listener and of the administration listener. */
  readonly listen: string;
  readonly admin: string;
  /** Takes no new request, ends what is in work, closes everything. */
  stop(): Promise<void>;
}

const SECONDS = [0.004, 0.016, 0.064, 0.256, 1, 4];

/** Starts an instance. @throws {CodedError} of whatever is not there: files, store, addresses. */
export async function startUpdate(config: UpdateConfig, log: Logger): Promise<RunningUpdate> {
  const clock = SYSTEM_CLOCK;
  await using started = new AsyncDisposableStack();
  const trust = {
    gateways: await readTrust([await authority(config.tls.gateways)]),
    clients: await readTrust([await authority(config.tls.clients)]),
  };
  const store = await openStore(config, started);
  const events: EventLog = config.eventLog === undefined
    ? noEventLog(log)
    : await openFileEventLog(config.eventLog, { process: config.name, clock, logger: log });
  started.defer(() => events.stop());
  await events.record("update.opened", { actor: events.self });
  const caller = new PipeCaller(config.pipes, config.limits.vaultMs);
  started.defer(() => caller.close());
  const revocations = started.use(await openRevocations(config.revocations, () => clock.monotonic()));
  const vault = vaultBehind(caller);
  const registry = new Registry();
  const registers = [registry];
  const outcomes = new Counter({
    name: "update_outcomes_total",
    help: "Updates by how they ended, and refusals by code.",
    labelNames: ["outcome"],
    registers,
  });
  const requests = new Histogram({
    name: "update_request_duration_seconds",
    help: "Time from the whole request to the whole answer, by route, status and problem code.",
    labelNames: ["route", "status", "code"],
    buckets: SECONDS,
    registers,
  });
  const service = new UpdateService({
    vault,
    store,
    revocations: () => revocations.read(),
    record: (event, facts) => events.record(event, facts),
    onOutcome: (outcome) => outcomes.inc({ outcome }),
  });
  let draining = false;
  const ready = readiness(
    [
      { name: "store", probe: () => store.ping() },
      { name: "vault", probe: () => vault.describe() },
      { name: "event-log", probe: () => events.writable ? Promise.resolve() : Promise.reject() },
    ],
    () => draining,
    clock,
    log,
  );
  const app = updateApp({
    service,
    trust: () => trust,
    clock,
    log,
    observe: (route, status, code, seconds) =>
      requests.observe({ route, status: `${status}`, code }, seconds),
    draining: () => draining,
  });
  const page = events.page && logPage({ process: config.name, ...events.page, now: () => clock.now() });
  const admin = openAdmin(splitAddress(config.admin), { registry, ready, log: page });
  started.defer(() => admin.close());
  const listener = await openMtlsListener(splitAddress(config.listen), {
    certificate: await readNamed(config.tls.certificate),
    key: await readNamed(config.tls.key),
    authority: await readNamed(config.tls.gateways.authority),
  }, app.fetch);
  started.defer(async () => {
    draining = true;
    await listener.drain(config.limits.drainMs);
  });
  const owned = started.move();
  return { listen: listener.address, admin: admin.address, stop: () => owned.disposeAsync() };
}

async function openStore(
  { store, name }: UpdateConfig,
  started: AsyncDisposableStack,
): Promise<UpgradeStore> {
  if (store.kind === "sqlite") return started.use(sqliteUpgradeStore(store.file));
  const database = openConfiguredDatabase(name, store);
  started.defer(() => database.close());
  if (store.migrate) await migrate(database, UPGRADE_MIGRATIONS);
  return postgresUpgradeStore(database);
}

async function authority({ authority, revocationList, whenStale }: UpdateConfig["tls"]["gateways"]) {
  return {
    certificates: { name: authority, pem: await readNamed(authority) },
    ...(revocationList === undefined
      ? {}
      : { revocationList: { name: revocationList, pem: await readNamed(revocationList) } }),
    whenStale,
  };
}
