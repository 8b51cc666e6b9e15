/** One gateway: wiring, start with proof, reload, drain. */

import { codeOf } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { logPage } from "shared/log/page.ts";
import { resolveEventLog } from "shared/log/writer/config.ts";
import { type EventLog, noEventLog } from "shared/log/writer/event_log.ts";
import { fileEventLogPage, openFileEventLog } from "shared/log/writer/file_event_log.ts";
import { type Clock, SYSTEM_CLOCK } from "shared/transport/clock.ts";
import {
  certificateFingerprint,
  type CertificateVerdict,
  verifyCertificate,
} from "shared/protocol/x509/verification.ts";
import { normalAddress } from "../domain/networks.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import { canaryFingerprint, DecisionRecord, proveRefusals } from "../service/canaries.ts";
import { ConnectionReader } from "../service/connection_reader.ts";
import { proveFreshness } from "../service/freshness_proof.ts";
import { Peers, type Verifier } from "../service/peers.ts";
import type { Pool } from "../service/pool.ts";
import { RateKeys } from "../service/rate_keys.ts";
import { RevocationLists } from "../service/revocation_lists.ts";
import { Telemetry } from "../service/telemetry.ts";
import { type Listener, openListener, type PeerFacts } from "../transport/listener.ts";
import { authorityOf, ownAddress } from "./addresses.ts";
import { openAdmin } from "./admin_app.ts";
import { drainListener, patientTimes } from "./drain.ts";
import type { Peer } from "./exchange.ts";
import { HandedEventLog } from "./handed_event_log.ts";
import type { HandedSockets } from "./handed_sockets.ts";
import { GatewayConfig } from "./config.ts";
import { besideConfig, readConfig } from "./config_file.ts";
import { answerMalformed } from "./malformed.ts";
import { checkCanaries, compilePolicy, type Material, readMaterial } from "./material.ts";
import { requireReloadable } from "./reloadable.ts";
import { type Phase, Requests } from "./requests.ts";
import { LiveTrust } from "./live_trust.ts";
import { makePools } from "./pools.ts";
import { Protection } from "./protection.ts";
import { Tracing } from "./tracing.ts";
import { Watch } from "./watch.ts";

/** What a gateway is given; tests replace the clock, the verifier by a broken one, and the log by a full one. */
export interface GatewayDependencies {
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly verifier?: Verifier;
  /** Instead of the log that the configuration names. */
  readonly events?: EventLog;
  /** Sockets that the process was handed; without them it opens its own. */
  readonly sockets?: HandedSockets;
  /** Why the process takes another's place; undefined: it is the first on its sockets. */
  readonly change?: Change | undefined;
  /** Asks the process that has the log to let it go. */
  readonly askForLog?: () => void;
}

/** What a person asked for, for the log. */
export type Change = "upgrade" | "rollback";

/** A gateway that serves. */
export interface Gateway {
  /** `host:port` of the public listener. */
  readonly listen: string;
  /** `host:port` of the admin listener. */
  readonly admin: string;
  /** Takes the file anew: routes, limits, deny list, authorities, revocation lists, certificate. All or nothing. */
  reload(change?: "rollback"): Promise<void>;
  /** Lets the log go to the process that takes over, or takes it again when that failed. */
  turnLog(): Promise<"released" | "taken">;
  /**
   * Stops accepting, finishes what is in flight, closes. Resolves to whether everything ended by itself.
   * @param patient Idle connections may end by themselves first: another gateway serves on the same socket already.
   */
  drain(patient?: boolean): Promise<boolean>;
}

/**
 * Starts a gateway: reads the file, binds, proves by canaries that it refuses, then serves.
 * @throws {CodedError} `GATEWAY_CONFIG`, `GATEWAY_FILE`, `GATEWAY_LISTEN`, `GATEWAY_CANARY`, `X509_*`; nothing stays open.
 */
export async function startGateway(configPath: string, dependencies: GatewayDependencies): Promise<Gateway> {
  const config = await readConfig(configPath, GatewayConfig);
  const lists = new RevocationLists(dependencies.clock ?? SYSTEM_CLOCK);
  const material = await readMaterial(configPath, config, lists);
  const events = dependencies.events ?? await openEvents(configPath, config, dependencies);
  const gateway = new RunningGateway(configPath, config, material, dependencies, lists, events);
  try {
    await gateway.start();
  } catch (error) {
    await gateway.abandon();
    throw error;
  }
  return gateway;
}

/** Reads a configuration and everything it points at without serving. @throws {CodedError} as `startGateway`. */
export async function checkGateway(configPath: string, clock: Clock = SYSTEM_CLOCK): Promise<void> {
  const config = await readConfig(configPath, GatewayConfig);
  const material = await readMaterial(configPath, config, new RevocationLists(clock));
  await checkCanaries(material, clock, verifyCertificate);
  await proveFreshness(material.trust, verifyCertificate, clock.now());
}

/** What is entered for a change. */
const CHANGED = { upgrade: "gateway.upgraded", rollback: "gateway.rolled-back" } as const;

async function openEvents(
  configPath: string,
  { eventLog, listen }: GatewayConfig,
  { logger, clock = SYSTEM_CLOCK, sockets, change, askForLog = () => {} }: GatewayDependencies,
): Promise<EventLog> {
  if (eventLog === undefined) return noEventLog(logger);
  const config = resolveEventLog(eventLog, (path) => besideConfig(configPath, path));
  const process = `gateway ${authorityOf(listen.address, listen.port)}`;
  const open = () => openFileEventLog(config, { process, clock, logger });
  if (sockets === undefined) return await open();
  const self = { kind: "process", identifier: process } as const;
  const source = { self, page: fileEventLogPage(config), open, ask: askForLog, logger };
  // Who takes another's place asks for its log when there is something to enter: when the proof is done.
  return new HandedEventLog(source, change === undefined ? await open() : undefined);
}

class RunningGateway implements Gateway {
  #phase: Phase = "proving";
  #policy;
  #listener: Listener<Peer> | undefined;
  #admin: { readonly port: number; close(): Promise<void> } | undefined;
  #drained: Promise<boolean> | undefined;
  readonly #clock: Clock;
  readonly #peers: Peers;
  readonly #telemetry: Telemetry;
  readonly #protection: Protection;
  readonly #watch: Watch;
  readonly #tracing: Tracing | undefined;
  readonly #pools: ReadonlyMap<string, Pool>;
  readonly #trust: LiveTrust;
  readonly #record = new DecisionRecord();
  readonly #requests: Requests;

  constructor(
    readonly configPath: string,
    readonly config: GatewayConfig,
    readonly material: Material,
    readonly dependencies: GatewayDependencies,
    readonly lists: RevocationLists,
    readonly events: EventLog,
  ) {
    this.#clock = dependencies.clock ?? SYSTEM_CLOCK;
    this.#telemetry = new Telemetry(dependencies.logger, this.#clock, events);
    this.#peers = new Peers(material.trust, this.#clock, dependencies.verifier);
    this.#trust = new LiveTrust(
      {
        configPath,
        lists,
        peers: this.#peers,
        clock: this.#clock,
        telemetry: this.#telemetry,
        events,
        recheck: async (keep) => await this.#listener?.recheck(({ chain }) => keep(chain)),
        verdict: (chain) => this.#verdict(chain),
      },
      config.clients.authorities,
      material,
    );
    this.#policy = compilePolicy(config, material);
    const { protection } = material;
    this.#protection = new Protection(config, protection, this.#clock, this.#telemetry, () => this.#policy);
    this.#watch = new Watch(this.#telemetry, config, material, () => ({
      listen: this.listen,
      phase: this.#phase,
      connections: this.#protection.connections,
      inFlight: this.#requests.inFlight,
      pools: this.#pools,
      trust: this.#peers.trust,
    }));
    this.#pools = makePools(config, material, this.#clock, this.#telemetry);
    this.#tracing = config.tracing && new Tracing(config.tracing, this.#clock);
    this.#requests = new Requests({
      clock: this.#clock,
      peers: this.#peers,
      verdict: (chain) => this.#verdict(chain),
      phase: () => this.#phase,
      validCanary: canaryFingerprint(material.canaries.valid),
      writable: () => this.events.writable,
      policy: () => this.#policy,
      protection: this.#protection,
      pools: this.#pools,
      telemetry: this.#telemetry,
      tracing: this.#tracing,
    });
  }

  get listen(): string {
    return authorityOf(this.config.listen.address, this.#listener?.port ?? this.config.listen.port);
  }

  get admin(): string {
    return authorityOf(this.config.admin.address, this.#admin?.port ?? this.config.admin.port);
  }

  async start(): Promise<void> {
    const { listen, admin, limits, canaries } = this.config;
    const { sockets } = this.dependencies;
    this.#telemetry.ready(false);
    // Before the proof: when that fails for want of a list, the log says why there is none.
    this.#trust.keep(this.material.lists);
    this.#listener = await openListener<Peer, StrictRequest>(
      { host: listen.address, port: sockets?.proofPort ?? listen.port },
      this.material.listener,
      limits,
      {
        preface: (address) => this.#protection.preface(address),
        admitAddress: (address) => this.#protection.admitAddress(address),
        connectionEnded: (address) => this.#protection.connectionEnded(address),
        admitPeer: (facts) => this.#admitPeer(facts),
        request: (...all) => void this.#requests.take(...all),
        reader: () => new ConnectionReader(limits),
        malformed: (socket, cause, address, peer) =>
          void answerMalformed(socket, cause, address, {
            telemetry: this.#telemetry,
            verdict: () => this.#verdict(peer.chain),
            refused: (reason) => this.#protection.refused(address, reason),
          }),
        handshakeFailed: (code, address) => {
          this.#telemetry.connectionRefused("handshake-failed", { code, address: normalAddress(address) });
          this.#protection.handshakeFailed(address);
        },
      },
    );
    const proven = await proveRefusals({
      target: {
        host: ownAddress(listen.address),
        port: this.#listener.port,
        serverName: canaries.serverName,
        serverAuthority: this.material.serverAuthority,
      },
      versions: listen.minVersion === "TLSv1.3" ? ["TLSv1.3"] : ["TLSv1.2", "TLSv1.3"],
      canaries: this.material.canaries,
      server: this.material.listener,
      // The admin address is ours and free until the proof is done: no further address to configure or permit.
      foreign: { host: admin.address, port: sockets?.foreignPort ?? admin.port },
      trust: this.material.trust,
      record: this.#record,
      now: this.#clock.now(),
    });
    const { events } = this;
    await events.record("gateway.canaries-proven", { actor: events.self });
    this.#telemetry.logger.info("canaries-proven", { proven });
    const fresh = await proveFreshness(this.material.trust, this.#peers.verifier, this.#clock.now());
    await events.record("gateway.freshness-proven", { actor: events.self });
    this.#telemetry.logger.info("freshness-proven", { proven: fresh });
    await Promise.all([...this.#pools.values()].map((pool) => pool.start()));
    this.#admin = await openAdmin({ host: admin.address, port: admin.port, fd: sockets?.adminFd }, {
      telemetry: this.#telemetry,
      ready: () => this.#phase === "serving" && events.writable,
      status: () => this.#watch.status(),
      hosts: () => [this.admin, `localhost:${this.#admin?.port}`],
      upstreams: () => Object.fromEntries([...this.#pools].map(([name, pool]) => [name, pool.states()])),
      log: events.page && logPage({ process: "the gateway", ...events.page, now: () => this.#clock.now() }),
    });
    this.#trust.report();
    this.#trust.start();
    this.#watch.start();
    await events.record("gateway.serving", { actor: events.self });
    const { change } = this.dependencies;
    if (change !== undefined) await events.record(CHANGED[change], { actor: events.self });
    if (change === "upgrade") this.#telemetry.logger.info("upgraded");
    if (change === "rollback") this.#telemetry.logger.info("rolled-back");
    this.#phase = "serving";
    if (sockets !== undefined) await this.#listener.moveTo(sockets.listenFd);
    this.#protection.serve();
    this.#telemetry.ready(true);
    this.#telemetry.logger.info("serving", { listen: this.listen, admin: this.admin });
  }

  async #admitPeer(facts: PeerFacts): Promise<Peer | undefined> {
    const leaf = facts.chain[0];
    const fingerprint = leaf === undefined ? undefined : certificateFingerprint(leaf);
    const verdict = await this.#verdict(facts.chain);
    // The two checks agree, or the connection is refused: `tls-unauthorized` means that only the runtime objects.
    const outcome = verdict.kind === "refuse"
      ? verdict.reason
      : facts.authorized
      ? "accepted"
      : "tls-unauthorized";
    if (this.#phase === "proving") {
      this.#record.add({ outcome, fingerprint, resumed: facts.resumed, port: facts.port });
    } else if (outcome !== "accepted") {
      this.#telemetry.connectionRefused(outcome, {
        address: normalAddress(facts.address),
        fingerprint,
        resumed: facts.resumed,
        protocol: facts.protocol,
      });
      this.#protection.handshakeFailed(facts.address);
    }
    if (outcome !== "accepted") return undefined;
    return { chain: facts.chain, address: normalAddress(facts.address), keys: new RateKeys() };
  }

  /** The verdict on a chain; a check that fails by itself refuses. */
  async #verdict(chain: readonly Uint8Array[]): Promise<CertificateVerdict> {
    try {
      return await this.#peers.verify(chain);
    } catch (error) {
      this.#telemetry.fault("verification-fault", { error });
      return { kind: "refuse", reason: "verification-fault", validUntil: this.#clock.now() };
    }
  }

  async turnLog(): Promise<"released" | "taken"> {
    const { events } = this;
    if (!(events instanceof HandedEventLog)) return "released";
    if (events.isReleased) await events.take();
    else await this.#trust.inTurn(() => events.release());
    const log = events.isReleased ? "released" : "taken";
    this.#telemetry.logger.info("log-released", { log });
    return log;
  }

  async reload(change?: "rollback"): Promise<void> {
    try {
      await this.#trust.inTurn(() => this.#reload(change));
    } catch (error) {
      const { events } = this;
      events.tell("gateway.reload-refused", {
        actor: events.self,
        outcome: "refused",
        reason: codeOf(error),
      });
      throw error;
    }
  }

  async #reload(change?: Change): Promise<void> {
    const config = await readConfig(this.configPath, GatewayConfig);
    requireReloadable(this.config, config);
    const material = await readMaterial(this.configPath, config, this.lists);
    await proveFreshness(material.trust, this.#peers.verifier, this.#clock.now());
    await checkCanaries(material, this.#clock, this.#peers.verifier);
    const policy = compilePolicy(config, material);
    await this.events.record(change === undefined ? "gateway.reloaded" : CHANGED[change], {
      actor: this.events.self,
    });
    // First what can fail: nothing was replaced yet.
    this.#listener?.renew(material.listener);
    this.#policy = policy;
    this.#listener?.recheckAddresses((address) => !policy.denied.contains(address));
    await this.#trust.take(config.clients.authorities, material);
    this.#watch.taken(config, material);
    const { logger } = this.#telemetry;
    if (change === undefined) logger.info("reloaded", { routes: policy.routes.length });
    else logger.info("rolled-back", { routes: policy.routes.length });
  }

  drain(patient = false): Promise<boolean> {
    return this.#drained ??= this.#drain(patient);
  }

  async #drain(patient: boolean): Promise<boolean> {
    this.#phase = "draining";
    this.#trust.stop();
    this.#telemetry.ready(false);
    // An end is no effect that could be refused: it is told.
    this.events.tell("gateway.draining", { actor: this.events.self });
    this.#telemetry.logger.info("draining", { inFlight: this.#requests.inFlight });
    // The gateway that took over answers there from now on.
    if (patient) await this.#admin?.close();
    const listener = this.#listener;
    let clean = true;
    if (listener !== undefined) {
      const { drain, limits } = this.config;
      clean = await drainListener(listener, patient ? patientTimes(drain, limits) : drain);
    }
    await this.#closeRest();
    this.events.tell("gateway.drained", { actor: this.events.self, outcome: clean ? "done" : "failed" });
    await this.events.stop();
    this.#telemetry.logger.info("drained", { clean, inFlight: this.#requests.inFlight });
    return clean;
  }

  /** Closes everything at once, after a start that failed. */
  async abandon(): Promise<void> {
    this.#trust.stop();
    this.#listener?.stopAccepting();
    this.#listener?.destroyAll();
    await this.#listener?.ended;
    await this.#closeRest();
    await this.events.stop();
  }

  async #closeRest(): Promise<void> {
    this.#watch.stop();
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
    await this.#admin?.close();
    this.#protection.close();
    await this.#tracing?.close();
  }
}
