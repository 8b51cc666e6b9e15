/** One instance of the attestation service, from a checked configuration to a listener that serves. */

import { splitAddress } from "shared/base/configuration.ts";
import { codeOf } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import type { EventName } from "shared/log/events.ts";
import { logPage } from "shared/log/page.ts";
import { DEMONSTRATION_REASONS } from "shared/log/reasons.ts";
import type { EventFacts } from "shared/log/recorder.ts";
import { NO_EVENT_LOG, type ServiceEventLog } from "shared/log/writer/event_log.ts";
import { openServiceEventLog } from "shared/log/writer/service_event_log.ts";
import { readiness } from "shared/service/readiness.ts";
import { readTlsFiles, watchTlsFiles } from "shared/service/tls_files.ts";
import { openAdmin } from "shared/transport/admin_listener.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { openConfiguredHsm } from "shared/transport/hsm_section.ts";
import { openMtlsListener } from "shared/transport/mtls_listener.ts";
import { openConfiguredDatabase } from "shared/transport/postgres/config.ts";
import type { Database } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { attestationService } from "../service/attestation/attestation_service.ts";
import { certificateSigner } from "../service/attestation/certificate_signer.ts";
import { recordSigner } from "../service/attestation/record_signer.ts";
import type { ConfiguredSender } from "../service/attestation/context.ts";
import { ATTESTATION_MIGRATIONS } from "../transport/issuance_store/migrations.ts";
import { IssuanceStore } from "../transport/issuance_store/store.ts";
import type { AttestationConfig } from "./attestation_config.ts";
import { attestationApp } from "./attestation_http.ts";
import { IdentityChecker } from "./attestation_identity.ts";
import { attestationMetrics } from "./attestation_metrics.ts";
import { warnOfDemonstration } from "./attestation_warnings.ts";

/** How often spent nonces and stored answers that are too old are removed. */
const FORGET_MS = 60_000;
/** Nonces are kept longer than their signatures hold, for another instance whose clock is behind. */
const NONCE_MARGIN_SECONDS = 300;
/** Input of the token's health check: nobody's diversification data begins so. */
const PROBE_INPUT = new TextEncoder().encode("attestation readiness probe");

/** A running instance. */
export interface RunningAttestation {
  /** `host:port` of the mTLS listener and of the administration listener. */
  readonly listen: string;
  readonly admin: string;
  /**
   * Takes the senders and their keys of a changed configuration; everything else in it needs a restart, and a warning
   * names it. Requests in work end as they began.
   */
  reload(config: AttestationConfig): Promise<void>;
  /** Enters that a changed configuration was not taken. */
  notReloaded(error: unknown): void;
  /** Answers 503 to new work, ends what is in work, closes everything. */
  stop(): Promise<void>;
}

/** Starts an instance. @throws {CodedError} of whatever is not there: files, token, database, addresses. */
export async function startAttestation(config: AttestationConfig, log: Logger): Promise<RunningAttestation> {
  const clock = SYSTEM_CLOCK;
  const files = await readTlsFiles(config.tls, "senders");
  const hsm = await openConfiguredHsm(config.hsm, log);
  let database: Database | undefined;
  let events: ServiceEventLog = NO_EVENT_LOG;
  try {
    database = await openIssuanceDatabase(config, log);
    if (config.eventLog !== undefined) {
      const surroundings = { process: config.name, clock, logger: log };
      events = await openServiceEventLog(config.eventLog, database, hsm, surroundings);
    }
    const enter = (event: EventName, facts: Omit<EventFacts, "actor"> = {}) =>
      events.record(event, { actor: events.self, ...facts });
    await enter("attestation.opened");
    const store = new IssuanceStore(database);
    await store.enterSenders(config.senders);
    for (const reason of await warnOfDemonstration(config, hsm, database.sql, log)) {
      const listed = (DEMONSTRATION_REASONS as readonly string[]).includes(reason);
      if (listed) await enter("attestation.for-demonstration", { reason });
    }

    const senders = new Map<string, ConfiguredSender>(config.senders.map((sender) => [sender.name, sender]));
    const { issuer, transportMaster, record } = config.labels;
    const serials = {
      first: parseInt(config.serials.first, 16),
      last: parseInt(config.serials.last, 16),
    };
    const service = attestationService({
      store,
      signer: certificateSigner(hsm, issuer),
      records: recordSigner(hsm, record),
      transportMaster: (input) => hsm.cmac(transportMaster, input),
      senders,
      serials,
      hostCertificates: config.hostCertificates,
      clock,
      random: SYSTEM_RANDOM,
      log,
      events,
    });
    let draining = false;
    const metrics = attestationMetrics();
    const identities = new IdentityChecker(files.trust, clock);
    const ready = readiness(
      [
        { name: "database", probe: () => store.ping() },
        { name: "hsm", probe: () => hsm.cmac(transportMaster, PROBE_INPUT) },
        { name: "issuer-key", probe: () => hsm.publicKey(issuer) },
        { name: "event-log", probe: () => events.writable ? Promise.resolve() : Promise.reject() },
      ],
      () => draining,
      clock,
      log,
    );
    const app = attestationApp({
      service,
      identities,
      senders,
      metrics,
      log,
      events,
      clock,
      limits: config.limits,
      draining: () => draining,
      ready,
    });
    const page = events.page &&
      logPage({ process: config.name, ...events.page, now: () => clock.now() });
    const admin = openAdmin(splitAddress(config.admin), { registry: metrics.registry, ready, log: page });
    const listener = await openMtlsListener(splitAddress(config.listen), files.keys, app.fetch).catch(
      async (error) => {
        await admin.close();
        throw error;
      },
    );
    const watch = watchTlsFiles(config.tls, "senders", files, {
      log,
      async changed({ trust, keys }) {
        await enter("attestation.tls-reloaded");
        identities.trust(trust);
        listener.renew(keys);
      },
      failed: (error) => tellFailed("attestation.tls-reloaded", error),
    });
    const tellFailed = (event: EventName, error: unknown) =>
      events.tell(event, { actor: events.self, outcome: "failed", reason: codeOf(error) });
    const forget = setInterval(() => {
      const now = Math.floor(clock.now() / 1000);
      Promise.all([store.forgetNonces(now - NONCE_MARGIN_SECONDS), store.forgetAnswers(now)]).catch(
        (error) => {
          log.warning("nonces.not-forgotten", { error });
          tellFailed("attestation.nonces-kept", error);
        },
      );
    }, FORGET_MS);
    const opened = database;
    let stopping: Promise<void> | undefined;
    const stop = async () => {
      draining = true;
      log.info("draining");
      // An end is no effect that could be refused: it is told.
      events.tell("attestation.draining", { actor: events.self });
      clearInterval(forget);
      watch.stop();
      await listener.drain(config.limits.drainMs);
      await admin.close();
      events.tell("attestation.stopped", { actor: events.self });
      await events.stop();
      await opened.close();
      await hsm.close();
      log.info("stopped");
    };
    const reload = async (next: AttestationConfig) => {
      const others = sectionsThatDiffer(config, next);
      await enter("attestation.senders-reloaded");
      if (others.length > 0) {
        await enter("attestation.reload-partial");
        log.warning("reload.needs-restart", { sections: others });
      }
      await store.enterSenders(next.senders);
      senders.clear();
      for (const sender of next.senders) senders.set(sender.name, sender);
      log.info("senders.reloaded", { senders: next.senders.length });
    };
    return {
      listen: listener.address,
      admin: admin.address,
      reload,
      notReloaded: (error) => tellFailed("attestation.senders-reloaded", error),
      stop: () => stopping ??= stop(),
    };
  } catch (error) {
    await events.stop();
    await database?.close();
    await hsm.close();
    throw error;
  }
}

/** Sections, besides the senders, in which two configurations differ. */
function sectionsThatDiffer(one: AttestationConfig, other: AttestationConfig): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]) as Set<keyof AttestationConfig>;
  names.delete("senders");
  return [...names].filter((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]));
}

async function openIssuanceDatabase(config: AttestationConfig, log: Logger): Promise<Database> {
  const database = openConfiguredDatabase(config.name, config.database);
  if (config.database.migrate) await migrate(database, ATTESTATION_MIGRATIONS);
  log.info("database.open", { migrated: config.database.migrate });
  return database;
}
