/** One gateway: wiring, start with proof, reload, drain. */

import { getRequestListener } from "@hono/node-server";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "shared/base/log.ts";
import { type Clock, SYSTEM_CLOCK } from "shared/transport/clock.ts";
import {
  certificateFingerprint,
  type CertificateVerdict,
  verifyCertificate,
} from "shared/protocol/x509/verification.ts";
import { normalAddress } from "../domain/networks.ts";
import { refuse } from "../domain/refusals.ts";
import { readStrictly } from "../domain/request_rules.ts";
import { CANARY_STATUS, canaryFingerprint, DecisionRecord, proveRefusals } from "../service/canaries.ts";
import { Connections } from "../service/connections.ts";
import { proveFreshness } from "../service/freshness_proof.ts";
import { LimitStore } from "../service/limit_store.ts";
import { Peers, type Verifier } from "../service/peers.ts";
import type { Pool } from "../service/pool.ts";
import { RevocationLists } from "../service/revocation_lists.ts";
import { Telemetry } from "../service/telemetry.ts";
import { type Listener, openListener, type PeerFacts } from "../transport/listener.ts";
import { authorityOf, ownAddress } from "./addresses.ts";
import { openAdmin } from "./admin_app.ts";
import { GatewayConfig } from "./config.ts";
import { readConfig } from "./config_file.ts";
import { type AdmittedExchange, Exchange, MALFORMED, NOBODY, rawProblem } from "./exchange.ts";
import { checkCanaries, compilePolicy, type Material, readMaterial } from "./material.ts";
import { LiveTrust } from "./live_trust.ts";
import { makePools } from "./pools.ts";
import { publicApp } from "./public_app.ts";
import { Tracing } from "./tracing.ts";
import { bytesOf, Watch } from "./watch.ts";

/** What a gateway is given; tests replace the clock, and the verifier by a broken one. */
export interface GatewayDependencies {
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly verifier?: Verifier;
}

/** A gateway that serves. */
export interface Gateway {
  /** `host:port` of the public listener. */
  readonly listen: string;
  /** `host:port` of the admin listener. */
  readonly admin: string;
  /** Takes the file anew: routes, limits, deny list, authorities, revocation lists, certificate. All or nothing. */
  reload(): Promise<void>;
  /** Stops accepting, finishes what is in flight, closes. Resolves to whether everything ended by itself. */
  drain(): Promise<boolean>;
}

/** `proving`: canaries only. `serving`. `draining`: every answer closes its connection. */
type Phase = "proving" | "serving" | "draining";

/** A verified client of a connection. */
interface Peer {
  readonly chain: readonly Uint8Array[];
  readonly address: string;
}

/** In a drain, connections without a request for this long are closed. */
const DRAIN_IDLE_MS = 1_000;

/**
 * Starts a gateway: reads the file, binds, proves by canaries that it refuses, then serves.
 * @throws {CodedError} `GATEWAY_CONFIG`, `GATEWAY_FILE`, `GATEWAY_LISTEN`, `GATEWAY_CANARY`, `X509_*`; nothing stays open.
 */
export async function startGateway(configPath: string, dependencies: GatewayDependencies): Promise<Gateway> {
  const config = await readConfig(configPath, GatewayConfig);
  const lists = new RevocationLists(dependencies.clock ?? SYSTEM_CLOCK);
  const material = await readMaterial(configPath, config, lists);
  const gateway = new RunningGateway(configPath, config, material, dependencies, lists);
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

class RunningGateway implements Gateway {
  #phase: Phase = "proving";
  #policy;
  #listener: Listener<Peer> | undefined;
  #admin: { readonly port: number; close(): Promise<void> } | undefined;
  #inFlight = 0;
  #drained: Promise<boolean> | undefined;
  readonly #clock: Clock;
  readonly #peers: Peers;
  readonly #telemetry: Telemetry;
  readonly #connections: Connections;
  readonly #watch: Watch;
  readonly #pools: ReadonlyMap<string, Pool>;
  readonly #trust: LiveTrust;
  readonly #record = new DecisionRecord();
  readonly #validCanary: string;
  readonly #exchanges = new WeakMap<IncomingMessage, AdmittedExchange>();
  readonly #toApp: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

  constructor(
    readonly configPath: string,
    readonly config: GatewayConfig,
    readonly material: Material,
    readonly dependencies: GatewayDependencies,
    readonly lists: RevocationLists,
  ) {
    this.#clock = dependencies.clock ?? SYSTEM_CLOCK;
    this.#telemetry = new Telemetry(dependencies.logger, this.#clock);
    this.#peers = new Peers(material.trust, this.#clock, dependencies.verifier);
    this.#trust = new LiveTrust(
      {
        configPath,
        lists,
        peers: this.#peers,
        clock: this.#clock,
        telemetry: this.#telemetry,
        recheck: async (keep) => await this.#listener?.recheck(({ chain }) => keep(chain)),
        verdict: (chain) => this.#verdict(chain),
      },
      config.clients.authorities,
      material,
    );
    this.#connections = new Connections(config.limits);
    this.#policy = compilePolicy(config);
    this.#watch = new Watch(this.#telemetry, config, material, () => ({
      listen: this.listen,
      phase: this.#phase,
      connections: this.#connections.open,
      inFlight: this.#inFlight,
      pools: this.#pools,
      trust: this.#peers.trust,
    }));
    this.#pools = makePools(config, material, this.#clock, this.#telemetry);
    this.#validCanary = canaryFingerprint(material.canaries.valid);
    const app = publicApp({
      exchanges: this.#exchanges,
      policy: () => this.#policy,
      limits: new LimitStore(this.#clock),
      pools: this.#pools,
      telemetry: this.#telemetry,
      tracing: config.tracing === undefined ? undefined : new Tracing(config.tracing.share),
    });
    this.#toApp = getRequestListener(app.fetch, { overrideGlobalObjects: false, autoCleanupIncoming: false });
  }

  get listen(): string {
    return authorityOf(this.config.listen.address, this.#listener?.port ?? this.config.listen.port);
  }

  get admin(): string {
    return authorityOf(this.config.admin.address, this.#admin?.port ?? this.config.admin.port);
  }

  async start(): Promise<void> {
    const { listen, admin, limits, canaries } = this.config;
    this.#telemetry.ready(false);
    // Before the proof: when that fails for want of a list, the log says why there is none.
    this.#trust.keep(this.material.lists);
    this.#listener = await openListener<Peer>(
      { host: listen.address, port: listen.port },
      this.material.listener,
      limits,
      {
        admitAddress: (address) => this.#admitAddress(address),
        connectionEnded: (address) => this.#connectionEnded(address),
        admitPeer: (facts) => this.#admitPeer(facts),
        request: (incoming, outgoing, peer, wantsContinue) =>
          void this.#request(incoming, outgoing, peer, wantsContinue),
        malformed: (socket, cause, address) => {
          const [reason, text] = MALFORMED[cause];
          const requestId = crypto.randomUUID();
          socket.end(rawProblem(reason, requestId, text));
          this.#telemetry.connectionRefused(reason, { requestId, address: normalAddress(address) });
        },
        handshakeFailed: (code, address) =>
          this.#telemetry.connectionRefused("handshake-failed", { code, address: normalAddress(address) }),
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
      foreign: { host: admin.address, port: admin.port },
      trust: this.material.trust,
      record: this.#record,
      now: this.#clock.now(),
    });
    this.#telemetry.logger.info("canaries-proven", { proven });
    const fresh = await proveFreshness(this.material.trust, this.#peers.verifier, this.#clock.now());
    this.#telemetry.logger.info("freshness-proven", { proven: fresh });
    await Promise.all([...this.#pools.values()].map((pool) => pool.start()));
    this.#admin = await openAdmin({ host: admin.address, port: admin.port }, {
      telemetry: this.#telemetry,
      ready: () => this.#phase === "serving",
      status: () => this.#watch.status(),
      hosts: () => [this.admin, `localhost:${this.#admin?.port}`],
      upstreams: () => Object.fromEntries([...this.#pools].map(([name, pool]) => [name, pool.states()])),
    });
    this.#trust.report();
    this.#trust.start();
    this.#watch.start();
    this.#phase = "serving";
    this.#telemetry.ready(true);
    this.#telemetry.logger.info("serving", { listen: this.listen, admin: this.admin });
  }

  #admitAddress(address: string): boolean {
    const refusal = this.#connections.admit(address, this.#policy.denied);
    if (refusal !== undefined) {
      this.#telemetry.connectionRefused(refusal, { address: normalAddress(address) });
      return false;
    }
    this.#telemetry.connections(this.#connections.open);
    return true;
  }

  #connectionEnded(address: string): void {
    this.#connections.release(address);
    this.#telemetry.connections(this.#connections.open);
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
    }
    return outcome === "accepted" ? { chain: facts.chain, address: normalAddress(facts.address) } : undefined;
  }

  /** The verdict on a chain; a check that fails by itself refuses. */
  async #verdict(chain: readonly Uint8Array[]): Promise<CertificateVerdict> {
    try {
      return await this.#peers.verify(chain);
    } catch (error) {
      this.#telemetry.logger.error("verification-fault", { error });
      return { kind: "refuse", reason: "verification-fault", validUntil: this.#clock.now() };
    }
  }

  async #request(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    peer: Peer,
    wantsContinue: boolean,
  ): Promise<void> {
    const began = this.#clock.monotonic();
    const address = peer.address;
    const clientCertificate = peer.chain[0]!;
    const report = {
      requestId: crypto.randomUUID(),
      address,
      route: "none",
      method: incoming.method ?? "",
      path: (incoming.url ?? "").split("?", 1)[0]!.slice(0, this.config.limits.maxTargetLength),
      status: 0,
      ms: 0,
    };
    const closing = () => this.#phase === "draining";
    const exchange = Object.assign(new Exchange(incoming, outgoing, wantsContinue, report, closing), {
      clientCertificate,
      client: NOBODY,
    });
    this.#begin();
    const over = () => {
      this.#end();
      if (this.#phase === "proving") return;
      exchange.report.bytes = bytesOf(outgoing);
      exchange.report.ms = Math.round(this.#clock.monotonic() - began);
      if (exchange.report.status === 0) exchange.report.reason ??= "client-gone";
      this.#telemetry.request(exchange.report);
    };
    if (outgoing.destroyed || !incoming.socket.writable) return over();
    outgoing.once("close", over);
    // Asked again with every request: what was revoked or has expired since then loses its connection.
    const verdict = await this.#verdict(peer.chain);
    if (verdict.kind === "refuse") {
      exchange.report.reason = verdict.reason;
      return void incoming.socket.destroy();
    }
    exchange.report.identity = verdict.identity;
    exchange.client = {
      names: verdict.names ?? { ...NOBODY.names, uris: [verdict.identity] },
      group: verdict.group,
    };
    if (this.#phase === "proving") {
      if (verdict.fingerprint !== this.#validCanary) {
        return exchange.refuse(refuse("not-ready", { "Retry-After": "1" }));
      }
      return void outgoing.writeHead(CANARY_STATUS, { connection: "close" }).end();
    }
    const read = readStrictly({
      httpVersion: incoming.httpVersion,
      method: incoming.method ?? "",
      target: incoming.url ?? "",
      rawHeaders: incoming.rawHeaders,
    }, this.config.limits);
    if (read.kind === "refuse") return exchange.refuse(read);
    exchange.request = read;
    this.#exchanges.set(incoming, exchange);
    await this.#toApp(incoming, outgoing);
  }

  #begin(): void {
    this.#telemetry.inFlight(++this.#inFlight);
  }

  #end(): void {
    this.#telemetry.inFlight(--this.#inFlight);
  }

  reload(): Promise<void> {
    return this.#trust.inTurn(() => this.#reload());
  }

  async #reload(): Promise<void> {
    const config = await readConfig(this.configPath, GatewayConfig);
    const material = await readMaterial(this.configPath, config, this.lists);
    await proveFreshness(material.trust, this.#peers.verifier, this.#clock.now());
    await checkCanaries(material, this.#clock, this.#peers.verifier);
    const policy = compilePolicy(config);
    for (const route of policy.routes) {
      // Pools are made at start; a route to a new one waits for the restart.
      if (!this.#pools.has(route.upstream)) {
        this.#telemetry.logger.warning("reload-needs-restart", { changed: ["upstreams"] });
        return;
      }
    }
    // First what can fail: nothing was replaced yet.
    this.#listener?.renew(material.listener);
    this.#policy = policy;
    await this.#trust.take(config.clients.authorities, material);
    this.#watch.taken(config, material);
    const fixed = ["listen", "admin", "limits", "upstreams", "drain", "log"] as const;
    const changed = fixed.filter((key) => JSON.stringify(config[key]) !== JSON.stringify(this.config[key]));
    if (changed.length > 0) this.#telemetry.logger.warning("reload-needs-restart", { changed });
    this.#telemetry.logger.info("reloaded", { routes: policy.routes.length });
  }

  drain(): Promise<boolean> {
    return this.#drained ??= this.#drain();
  }

  async #drain(): Promise<boolean> {
    this.#phase = "draining";
    this.#trust.stop();
    this.#telemetry.ready(false);
    this.#telemetry.logger.info("draining", { inFlight: this.#inFlight });
    const listener = this.#listener;
    let clean = true;
    if (listener !== undefined) {
      listener.stopAccepting();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<"late">((resolve) => {
        timer = setTimeout(() => resolve("late"), this.config.drain.timeoutMs);
      });
      // For a moment idle connections stay: a request that is on its way on one of them is still answered.
      const idle = setInterval(() => listener.closeIdle(), DRAIN_IDLE_MS);
      clean = await Promise.race([listener.ended.then(() => "ended" as const), late]) === "ended";
      clearInterval(idle);
      clearTimeout(timer);
      listener.destroyAll();
    }
    await this.#closeRest();
    this.#telemetry.logger.info("drained", { clean, inFlight: this.#inFlight });
    return clean;
  }

  /** Closes everything at once, after a start that failed. */
  async abandon(): Promise<void> {
    this.#trust.stop();
    this.#listener?.stopAccepting();
    this.#listener?.destroyAll();
    await this.#listener?.ended;
    await this.#closeRest();
  }

  async #closeRest(): Promise<void> {
    this.#watch.stop();
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
    await this.#admin?.close();
  }
}
