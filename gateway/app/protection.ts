/** Everything by which one gateway protects itself and its upstreams from too much: wired from the configuration. */

import type { Clock } from "shared/transport/clock.ts";
import { offenceOf } from "../domain/bans.ts";
import { normalAddress } from "../domain/address.ts";
import type { LimitRule } from "../domain/limit.ts";
import { compileNetworks } from "../domain/networks.ts";
import { type ProxyHeader, readProxyHeader } from "../protocol/proxy_header.ts";
import type { Limits, Policy } from "../service/admit.ts";
import { Bans } from "../service/bans.ts";
import { Concurrency } from "../service/concurrency.ts";
import { Door } from "../service/door.ts";
import { Limiter } from "../service/limiter.ts";
import { LimitStore, type SharedLimitStore } from "../service/limit_store.ts";
import { Gate } from "../service/overload.ts";
import { LIMIT_SCRIPT, sharedLimits } from "../service/shared_limits.ts";
import type { Telemetry } from "../service/telemetry.ts";
import { openRedisScript } from "../transport/redis_script.ts";
import type { GatewayConfig } from "./config.ts";
import type { ProtectionMaterial } from "./protection_material.ts";

/** Protection of one gateway. */
export class Protection {
  readonly limits: Limits;
  /** By name of the pool. */
  readonly gates: ReadonlyMap<string, Gate>;
  readonly #bans: Bans;
  readonly #door: Door;
  readonly #shared: SharedLimitStore | undefined;
  /** Until then only canaries connect: they fail on purpose, and count for nothing. */
  #serving = false;

  constructor(
    readonly config: GatewayConfig,
    material: ProtectionMaterial,
    clock: Clock,
    readonly telemetry: Telemetry,
    readonly policy: () => Policy,
  ) {
    this.#bans = makeBans(config, clock, telemetry);
    this.#door = new Door(config.limits, rulesOf(config.handshakes), this.#bans, clock);
    this.#shared = makeShared(config, material, telemetry);
    this.limits = {
      limiter: new Limiter(new LimitStore(clock), this.#shared),
      concurrency: new Concurrency(),
      bans: this.#bans,
      backupKey: material.backupKey,
    };
    this.gates = new Map(
      Object.entries(config.upstreams).map(([name, { overload }]) => [name, new Gate(overload, clock)]),
    );
  }

  /** Open TCP connections. */
  get connections(): number {
    return this.#door.open;
  }

  /** From here on everybody counts. */
  serve(): void {
    this.#serving = true;
  }

  /** At accept: whether a connection may begin TLS. */
  admitAddress(address: string): boolean {
    const { denied } = this.policy();
    const refusal = this.#serving
      ? this.#door.admit(address, denied)
      : this.#door.admitAnyway(address, denied);
    if (refusal !== undefined) {
      this.telemetry.connectionRefused(refusal, { address: normalAddress(address) });
      return false;
    }
    this.telemetry.connections(this.#door.open);
    return true;
  }

  /** A connection that was admitted ended. */
  connectionEnded(address: string): void {
    this.#door.release(address);
    this.telemetry.connections(this.#door.open);
  }

  /** A handshake failed, or its certificate was refused. */
  handshakeFailed(address: string): void {
    if (this.#serving) this.#door.handshakeFailed(address);
  }

  /** A request was refused, or is over. */
  refused(address: string, reason: string | undefined): void {
    const offence = reason === undefined ? undefined : offenceOf(reason);
    if (this.#serving && offence !== undefined) this.#bans.offence(address, offence);
  }

  /** How a connection names its client in front of TLS; undefined: it does not. */
  preface(remote: string): ((bytes: Uint8Array) => ProxyHeader) | "refuse" | undefined {
    const rule = this.policy().clientAddress;
    if (!this.#serving || rule?.from !== "proxy-protocol") return undefined;
    if (rule.trustedProxies.contains(remote)) return readProxyHeader;
    this.telemetry.connectionRefused("proxy-not-trusted", { address: normalAddress(remote) });
    return "refuse";
  }

  close(): void {
    this.#shared?.close();
  }
}

function rulesOf(handshakes: GatewayConfig["handshakes"]) {
  const rule = (name: string, rate: GatewayConfig["handshakes"]["total"]): LimitRule | undefined =>
    rate && { name, quota: rate.quota, windowSeconds: rate.windowSeconds, burst: rate.burst ?? rate.quota };
  return {
    perAddress: rule("handshakes", handshakes.perAddress),
    failedPerAddress: rule("failed-handshakes", handshakes.failedPerAddress),
    total: rule("all-handshakes", handshakes.total),
  };
}

function makeBans({ bans, clientAddress }: GatewayConfig, clock: Clock, telemetry: Telemetry): Bans {
  return new Bans(
    bans && {
      rule: {
        threshold: bans.threshold,
        halfLifeMs: bans.halfLifeSeconds * 1000,
        banMs: bans.banSeconds * 1000,
        maxBanMs: Math.max(bans.banSeconds, bans.maxBanSeconds) * 1000,
        points: bans.points,
      },
      // A proxy stands for all its clients.
      never: compileNetworks([...bans.never, ...clientAddress?.trustedProxies ?? []]),
      dryRun: bans.dryRun,
    },
    clock,
    (address, seconds, offence, dryRun) => telemetry.banned(address, seconds, offence, dryRun),
  );
}

function makeShared(
  { limitStore }: GatewayConfig,
  { store }: ProtectionMaterial,
  telemetry: Telemetry,
): SharedLimitStore | undefined {
  if (limitStore === undefined || store === undefined) return undefined;
  const script = openRedisScript(store, LIMIT_SCRIPT, (state, cause) => {
    telemetry.limitStore(state === "up", cause);
  });
  return sharedLimits(script, limitStore.prefix);
}
