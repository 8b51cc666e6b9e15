/**
 * The enrolment process: EST behind the gateway's own listener and checks. It is a process apart from the gateway because the runtime
 * shares session tickets between all TLS servers of a process, and its clients come with other authorities.
 */

import type { Logger } from "shared/base/log.ts";
import { resolveEventLog } from "shared/log/writer/config.ts";
import { type EventLog, noEventLog } from "shared/log/writer/event_log.ts";
import { openFileEventLog } from "shared/log/writer/file_event_log.ts";
import { type Trust } from "shared/protocol/x509/trust.ts";
import {
  certificateFingerprint,
  type CertificateVerdict,
  verifyCertificate,
} from "shared/protocol/x509/verification.ts";
import { type Clock, SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { compileNetworks, normalAddress } from "../domain/networks.ts";
import { CANARY_STATUS, canaryFingerprint, DecisionRecord, proveRefusals } from "../service/canaries.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import { ConnectionReader } from "../service/connection_reader.ts";
import { Connections } from "../service/connections.ts";
import { type EnrollingClient, Enrolment } from "../service/enrolment.ts";
import { proveFreshness } from "../service/freshness_proof.ts";
import { LimitStore } from "../service/limit_store.ts";
import { Peers } from "../service/peers.ts";
import { RevocationLists } from "../service/revocation_lists.ts";
import type { PublishedList } from "../transport/enrolment_store/store.ts";
import type { Http1Answer } from "../transport/http1/answer.ts";
import type { Http1Request } from "../transport/http1/request.ts";
import { type Listener, openListener, type PeerFacts } from "../transport/listener.ts";
import { authorityOf, ownAddress } from "./addresses.ts";
import { besideConfig, readConfig } from "./config_file.ts";
import { EnrolConfig } from "./enrol_config.ts";
import { serveEst } from "./enrol_http.ts";
import { type EnrolMaterial, enrolTrust, readEnrolMaterial } from "./enrol_material.ts";
import { type EnrolParts, openEnrolParts } from "./enrol_parts.ts";
import { openPublication } from "./enrol_publication.ts";
import { checkCanaries, readClientTrust } from "./material.ts";

/** An enrolment process that serves. */
export interface RunningEnrolment {
  /** `host:port` of EST. */
  readonly listen: string;
  /** `host:port` of list and authority. */
  readonly publication: string;
  /** Takes the file's certificates, authorities, lists, grants anew: all or nothing. */
  reload(): Promise<void>;
  /** Looks for revocations and lists now. */
  refresh(): Promise<void>;
  /** Stops accepting, finishes, closes. */
  stop(): Promise<void>;
}

interface Peer {
  readonly chain: readonly Uint8Array[];
}

/** Starts it. @throws {CodedError} `GATEWAY_*`, `ENROL_*`, `X509_*`, `HSM_*`, `DATABASE_*`; nothing stays open. */
export async function startEnrolment(
  configPath: string,
  logger: Logger,
  clock: Clock = SYSTEM_CLOCK,
): Promise<RunningEnrolment> {
  const config = await readConfig(configPath, EnrolConfig);
  const parts = await openEnrolParts(configPath, config, logger, clock);
  const events = await openEvents(configPath, config, logger, clock).catch(async (error) => {
    await parts[Symbol.asyncDispose]();
    throw error;
  });
  const process = new EnrolmentProcess(configPath, config, parts, events, logger, clock);
  try {
    await process.start();
    return process;
  } catch (error) {
    await process.stop();
    throw error;
  }
}

async function openEvents(
  configPath: string,
  { eventLog, listen }: EnrolConfig,
  logger: Logger,
  clock: Clock,
): Promise<EventLog> {
  if (eventLog === undefined) return noEventLog(logger);
  const config = resolveEventLog(eventLog, (path) => besideConfig(configPath, path));
  const process = `enrolment ${authorityOf(listen.address, listen.port)}`;
  return await openFileEventLog(config, { process, clock, logger });
}

class EnrolmentProcess implements RunningEnrolment {
  #phase: "proving" | "serving" | "stopping" = "proving";
  #material: EnrolMaterial | undefined;
  #list: PublishedList | undefined;
  #peers: Peers;
  #enrolment: Enrolment;
  #listener: Listener<Peer> | undefined;
  #publication: Awaited<ReturnType<typeof openPublication>> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #changing: Promise<void> = Promise.resolve();
  #collectAt = 0;
  readonly #lists: RevocationLists;
  readonly #connections: Connections;
  readonly #limits: LimitStore;
  readonly #record = new DecisionRecord();

  constructor(
    readonly configPath: string,
    readonly config: EnrolConfig,
    readonly parts: EnrolParts,
    readonly events: EventLog,
    readonly logger: Logger,
    readonly clock: Clock,
  ) {
    this.#lists = new RevocationLists(clock);
    this.#connections = new Connections(config.limits);
    this.#limits = new LimitStore(clock);
    this.#peers = new Peers({ authorities: [] }, clock);
    this.#enrolment = enrolmentOf(parts, config);
  }

  get listen(): string {
    return authorityOf(this.config.listen.address, this.#listener?.port ?? this.config.listen.port);
  }

  get publication(): string {
    return authorityOf(
      this.config.publication.address,
      this.#publication?.port ?? this.config.publication.port,
    );
  }

  async start(): Promise<void> {
    const { listen, limits, publication, canaries } = this.config;
    this.#list = await this.parts.issuer.currentList();
    const material = await readEnrolMaterial(this.configPath, this.parts.issuerPem, this.#lists);
    this.#material = material;
    const trust = await enrolTrust(this.parts.issuerPem, this.#list!.list, material.bootstrap);
    await checkCanaries({ canaries: material.canaries, trust }, this.clock, verifyCertificate);
    this.#peers.replaceTrust(trust);
    this.#listener = await openListener<Peer, StrictRequest>(
      { host: listen.address, port: listen.port },
      material.secrets,
      limits,
      {
        admitAddress: (address) => this.#connections.admit(address, NOBODY_DENIED) === undefined,
        connectionEnded: (address) => this.#connections.release(address),
        admitPeer: (facts) => this.#admitPeer(facts),
        request: (...all) => void this.#request(...all),
        reader: () => new ConnectionReader(limits),
        malformed: (socket) =>
          void socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        handshakeFailed: (code, address) =>
          this.logger.warning("connection-refused", {
            reason: "handshake-failed",
            code,
            address: normalAddress(address),
          }),
      },
    );
    const proven = await proveRefusals({
      target: {
        host: ownAddress(listen.address),
        port: this.#listener.port,
        serverName: canaries.serverName,
        serverAuthority: material.serverAuthority,
      },
      versions: listen.minVersion === "TLSv1.3" ? ["TLSv1.3"] : ["TLSv1.2", "TLSv1.3"],
      canaries: material.canaries,
      server: material.secrets,
      foreign: { host: publication.address, port: publication.port },
      trust,
      record: this.#record,
      now: this.clock.now(),
    });
    const fresh = await proveFreshness(trust, verifyCertificate, this.clock.now());
    const { events } = this;
    await events.record("gateway.canaries-proven", { actor: events.self });
    this.logger.info("canaries-proven", { proven: [...proven, ...fresh] });
    this.#publication = await openPublication({ host: publication.address, port: publication.port }, {
      list: () => new Uint8Array(this.#list!.list),
      authority: this.#authority,
      ready: () => this.#phase === "serving" && events.writable,
    });
    await events.record("gateway.serving", { actor: events.self });
    this.#phase = "serving";
    this.#refreshLater();
    this.logger.info("serving", { listen: this.listen, publication: this.publication });
  }

  get #authority(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.parts.issuer.parts.certificate.rawData);
  }

  async #admitPeer(facts: PeerFacts): Promise<Peer | undefined> {
    const leaf = facts.chain[0];
    const fingerprint = leaf === undefined ? undefined : certificateFingerprint(leaf);
    const verdict = await this.#peers.verify(facts.chain);
    const outcome = verdict.kind === "refuse"
      ? verdict.reason
      : facts.authorized
      ? "accepted"
      : "tls-unauthorized";
    if (this.#phase === "proving") {
      this.#record.add({ outcome, fingerprint, resumed: facts.resumed, port: facts.port });
    } else if (outcome !== "accepted") {
      const address = normalAddress(facts.address);
      this.logger.warning("connection-refused", {
        reason: outcome,
        address,
        fingerprint,
        resumed: facts.resumed,
      });
    }
    return outcome === "accepted" ? { chain: facts.chain } : undefined;
  }

  async #request(
    incoming: Http1Request,
    outgoing: Http1Answer,
    peer: Peer,
    wantsContinue: boolean,
    strict: StrictRequest,
  ): Promise<void> {
    let verdict: CertificateVerdict;
    try {
      verdict = await this.#peers.verify(peer.chain);
    } catch (error) {
      this.logger.error("verification-fault", { error });
      return void incoming.socket.destroy();
    }
    if (verdict.kind === "refuse") return void incoming.socket.destroy();
    if (this.#phase === "proving") {
      const canary = verdict.fingerprint === canaryFingerprint(this.#material!.canaries.valid);
      return void outgoing.writeHead(canary ? CANARY_STATUS : 503, ["connection", "close"]).end();
    }
    const client: EnrollingClient = { verdict, certificate: peer.chain[0]! };
    const { rateLimit } = this.config;
    const rule = { name: "enrolment", ...rateLimit, burst: rateLimit.quota };
    await serveEst(
      {
        enrolment: () => this.#enrolment,
        authority: this.#authority,
        logger: this.logger,
        events: this.events,
        closing: () => this.#phase !== "serving",
        limited: (identity) => {
          const decision = this.#limits.takeOne(rule, identity);
          if (decision === undefined) return 1;
          return decision.allowed ? undefined : Math.max(1, Math.ceil(decision.retryAfterMs / 1000));
        },
      },
      { client, strict, incoming, outgoing, wantsContinue },
    );
  }

  #refreshLater(): void {
    this.#timer = setTimeout(() => {
      void this.refresh().catch((error) => {
        this.logger.error("list-refresh", { error });
        this.events.tell("gateway.revocation-source-failed", { actor: this.events.self, outcome: "failed" });
      }).finally(() => this.#phase === "serving" && this.#refreshLater());
    }, this.config.lists.refreshSeconds * 1000);
  }

  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      const { config, canaries } = this.#material!;
      let { bootstrap } = this.#material!;
      const now = this.clock.now();
      let changed = false;
      if (now >= this.#collectAt) {
        const clients = await readClientTrust(this.configPath, config.clients.authorities, this.#lists);
        for (const fault of clients.lists.faults) {
          this.logger.warning("revocation-source", { ...fault });
          this.events.tell("gateway.revocation-source-failed", {
            actor: this.events.self,
            outcome: "failed",
          });
        }
        this.#collectAt = now +
          1000 * Math.min(...config.clients.authorities.map((each) => each.refreshSeconds));
        if (clients.lists.changed) {
          await checkCanaries({ canaries, trust: clients.trust }, this.clock, verifyCertificate);
          bootstrap = clients.trust;
          changed = true;
        }
        clients.lists.commit();
      }
      const list = await this.parts.issuer.currentList();
      if (list.number !== this.#list!.number) {
        await this.events.record("gateway.list-published", { actor: this.events.self });
        this.#list = list;
        changed = true;
        this.logger.info("list-published", { number: String(list.number) });
      }
      if (!changed) return;
      this.#material = { ...this.#material!, bootstrap };
      await this.#takeTrust(bootstrap);
    });
  }

  async #takeTrust(bootstrap: Trust): Promise<void> {
    this.#peers.replaceTrust(await enrolTrust(this.parts.issuerPem, this.#list!.list, bootstrap));
    await this.#listener?.recheck(async ({ chain }) => (await this.#peers.verify(chain)).kind === "accept");
  }

  reload(): Promise<void> {
    return this.#inTurn(async () => {
      const material = await readEnrolMaterial(this.configPath, this.parts.issuerPem, this.#lists);
      const trust = await enrolTrust(this.parts.issuerPem, this.#list!.list, material.bootstrap);
      await checkCanaries({ canaries: material.canaries, trust }, this.clock, verifyCertificate);
      await proveFreshness(trust, verifyCertificate, this.clock.now());
      this.#listener?.renew(material.secrets);
      this.#material = material;
      this.#enrolment = enrolmentOf(this.parts, material.config);
      await this.#takeTrust(material.bootstrap);
      this.logger.info("reloaded", { grants: Object.keys(material.config.grants).length });
    });
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(change);
    this.#changing = turn.catch(() => {});
    return turn;
  }

  async stop(): Promise<void> {
    this.#phase = "stopping";
    clearTimeout(this.#timer);
    await this.#changing;
    const listener = this.#listener;
    if (listener !== undefined) {
      listener.stopAccepting();
      const idle = setInterval(() => listener.closeIdle(), 100);
      const late = setTimeout(() => listener.destroyAll(), this.config.drain.timeoutMs);
      await listener.ended;
      clearInterval(idle);
      clearTimeout(late);
    }
    await this.#publication?.close();
    await this.events.stop();
    await this.parts[Symbol.asyncDispose]();
  }
}

const NOBODY_DENIED = compileNetworks([]);

function enrolmentOf(parts: EnrolParts, config: EnrolConfig): Enrolment {
  const hours = (count: number) => count * 3_600_000;
  const { wallets } = config;
  return new Enrolment(parts.issuer, {
    grants: Object.entries(config.grants).map(([name, { lifetimeHours, ...grant }]) => ({
      ...grant,
      name,
      lifetimeMs: hours(lifetimeHours),
    })),
    wallets: wallets && {
      grant: { ...wallets, name: "wallets", lifetimeMs: hours(wallets.lifetimeHours) },
      deviceIssuer: Uint8Array.fromHex(wallets.deviceIssuer),
      challengeLifetimeMs: wallets.challengeSeconds * 1000,
    },
    renewalLifetimeMs: hours(config.renewalHours),
  });
}
