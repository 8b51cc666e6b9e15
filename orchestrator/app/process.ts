/** One instance of the orchestrator, from a checked configuration to a listener that serves. */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { splitAddress } from "shared/base/configuration.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { readText } from "shared/base/text_file.ts";
import { hostStaticBytes } from "shared/protocol/recover/certificates.ts";
import { ROLE } from "shared/protocol/recover/constants.ts";
import { hsmLogSigner } from "shared/log/store/note_signers.ts";
import { formatVerifierKey } from "shared/log/vkey.ts";
import { NO_EVENT_LOG, type ServiceEventLog } from "shared/log/writer/event_log.ts";
import { openServiceEventLog } from "shared/log/writer/service_event_log.ts";
import { readiness } from "shared/service/readiness.ts";
import { readTlsFiles, watchTlsFiles } from "shared/service/tls_files.ts";
import { openAdmin } from "shared/transport/admin_listener.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { openConfiguredHsm } from "shared/transport/hsm_section.ts";
import { openMtlsListener } from "shared/transport/mtls_listener.ts";
import { openConfiguredDatabase } from "shared/transport/postgres/config.ts";
import type { Database } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { Scene } from "../domain/steps.ts";
import { Orchestrator } from "../service/orchestrator.ts";
import { ProviderClient } from "../service/provider_client.ts";
import { recoverLog } from "../service/recover_log.ts";
import { SESSION_MIGRATIONS } from "../transport/session_store/migrations.ts";
import { PostgresSessionStore } from "../transport/session_store/postgres_store.ts";
import { openStateSeal } from "../transport/session_store/state_seal.ts";
import type { OrchestratorConfig } from "./config.ts";
import "./config.ts";
import { orchestratorApp } from "./http.ts";
import { orchestratorMetrics } from "./metrics.ts";

/** Longest time in which a request has to arrive, in milliseconds: a batch of a slow wallet's answers is larger than others'. */
const REQUEST_MS = 30_000;

/** A running instance. */
export interface RunningOrchestrator {
  /** `host:port`. */
  readonly listen: string;
  readonly admin: string;
  /** Ends what is in work, closes everything. */
  stop(): Promise<void>;
}

/** Starts an instance. @throws {CodedError} of whatever is not there: files, token, database, addresses. */
export async function startOrchestrator(
  config: OrchestratorConfig,
  log: Logger,
): Promise<RunningOrchestrator> {
  const closing: (() => void | Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of closing.toReversed()) await close();
    closing.length = 0;
  };
  try {
    const files = await readTlsFiles(config.tls, "clients");
    let { trust } = files;
    const hsm = await openConfiguredHsm(config.hsm, log);
    closing.push(() => hsm.close());
    const database = openConfiguredDatabase(config.name, config.database);
    closing.push(() => database.close());
    if (config.database.migrate) await migrate(database, SESSION_MIGRATIONS);
    const seal = await openStateSeal(hsm, config.labels.state, SYSTEM_RANDOM);
    closing.push(() => seal.close());
    const events = await openLog(config, database, hsm, log);
    closing.push(() => events.stop());
    await events.record("orchestrator.opened", { actor: events.self });
    closing.push(() => events.tell("orchestrator.stopped", { actor: events.self }));
    const metrics = orchestratorMetrics();
    const providers = await Promise.all(config.providers.map(async ({ name, servers, tls }) => {
      const client = new ProviderClient(name, {
        servers,
        tls: {
          ca: await readText(tls.authority),
          cert: await readText(tls.certificate),
          key: await readText(tls.key),
        },
        onFailover: (event) => {
          metrics.failover(name);
          log.warning("provider.failover", event);
          events.tell("orchestrator.failover", { actor: events.self });
        },
      });
      closing.push(() => client.close());
      return client;
    }));
    const orchestrator = new Orchestrator({
      scene: await sceneOf(config, hsm),
      store: new PostgresSessionStore(database, seal, recoverLog(events)),
      providers,
      sign: (message) => hsm.sign(config.labels.static, message),
      clock: SYSTEM_CLOCK,
      random: SYSTEM_RANDOM,
      log,
      times: config.limits,
      events,
    });
    let draining = false;
    const ready = readiness(
      [
        { name: "database", probe: () => database.ping() },
        { name: "hsm", probe: () => hsm.publicKey(config.labels.static) },
        { name: "event-log", probe: () => events.writable ? Promise.resolve() : Promise.reject() },
      ],
      () => draining,
      SYSTEM_CLOCK,
      log,
    );
    const app = orchestratorApp({
      orchestrator,
      trust: () => trust,
      metrics,
      clock: SYSTEM_CLOCK,
      log,
      events,
      ready,
    });
    const admin = openAdmin(splitAddress(config.admin), { registry: metrics.registry, ready });
    closing.push(() => admin.close());
    const listener = await openMtlsListener(splitAddress(config.listen), files.keys, app.fetch, {
      requestMs: REQUEST_MS,
    });
    const watch = watchTlsFiles(config.tls, "clients", files, {
      log,
      changed(next) {
        ({ trust } = next);
        listener.renew(next.keys);
      },
      failed: (error) =>
        events.tell("orchestrator.care-failed", {
          actor: events.self,
          outcome: "failed",
          reason: codeOf(error),
        }),
    });
    const sweeping = sweepEvery(orchestrator, config.limits.sweepMs, log);
    closing.push(async () => {
      draining = true;
      watch.stop();
      await sweeping.stop();
      await listener.drain(config.limits.drainMs);
    });
    return { listen: listener.address, admin: admin.address, stop: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/**
 * Makes the keys that are missing in the token. Repeat it freely.
 * @returns the static public key (65, hex), the bytes that the root has to sign (hex), and the key that verifies the log's checkpoints.
 */
export async function initOrchestrator(
  config: OrchestratorConfig,
  log: Logger,
): Promise<{ publicKey: string; toSign: string; eventLogKey?: string }> {
  const hsm = await openConfiguredHsm(config.hsm, log);
  try {
    const labels = (await hsm.keys()).map(({ label }) => label);
    const { static: identity, state } = config.labels;
    if (!labels.includes(identity)) await hsm.generateSigningKey(identity);
    if (!labels.includes(state)) await hsm.generateMasterKey(state);
    const { eventLog } = config;
    if (eventLog !== undefined && !labels.includes(eventLog.keyLabel)) {
      await hsm.generateSigningKey(eventLog.keyLabel, "ed25519");
    }
    const signer = eventLog && await hsmLogSigner(hsm, eventLog.keyLabel, eventLog.origin);
    const publicKey = await hsm.publicKey(identity);
    return {
      publicKey: toHex(publicKey),
      toSign: toHex(hostStaticBytes(ROLE.ORCHESTRATOR_STATIC, publicKey)),
      ...(signer ? { eventLogKey: formatVerifierKey(signer.verifierKey) } : {}),
    };
  } finally {
    await hsm.close();
  }
}

/** Takes up what was left, one sweep after the other. */
function sweepEvery(orchestrator: Orchestrator, sweepMs: number, log: Logger): { stop(): Promise<void> } {
  let running: Promise<unknown> | undefined;
  const timer = setInterval(() => {
    running ??= orchestrator.sweep()
      .catch((error) => log.warning("sweep.failed", { error }))
      .finally(() => running = undefined);
  }, sweepMs);
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}

async function sceneOf(config: OrchestratorConfig, hsm: Hsm): Promise<Scene> {
  if (config.certificateSignature === undefined) {
    throw new CodedError("ORCHESTRATOR_CONFIG", "Cannot start: certificateSignature is not given");
  }
  return {
    host: {
      certificate: {
        publicKey: await hsm.publicKey(config.labels.static),
        signature: fromHex(config.certificateSignature),
      },
      deviceIssuers: config.deviceIssuers.map((key) => fromHex(key)),
      targetId: fromHex(config.targetId),
    },
    providers: config.providers.map(({ name, publicKey }, i) => ({ index: i + 1, name, publicKey })),
    providerRoot: fromHex(config.providerRoot),
  };
}

function openLog(
  config: OrchestratorConfig,
  database: Database,
  hsm: Hsm,
  log: Logger,
): Promise<ServiceEventLog> {
  const { eventLog, name } = config;
  if (eventLog !== undefined) {
    return openServiceEventLog(eventLog, database, hsm, { process: name, clock: SYSTEM_CLOCK, logger: log });
  }
  const message = "Nothing is entered in a tamper-evident log: give `eventLog`.";
  log.warning("not-for-production", { what: "no-event-log", message });
  return Promise.resolve(NO_EVENT_LOG);
}
