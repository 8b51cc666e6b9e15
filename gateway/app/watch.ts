/** Keeps what people and programs look at while a gateway runs: its status, and the metrics of its process. */

import type { Trust } from "shared/protocol/x509/trust.ts";
import type { Outbound } from "../service/outbound.ts";
import type { Pool } from "../service/pool.ts";
import type { Telemetry } from "../service/telemetry.ts";
import { registerWatchMetrics, watchOutbound } from "../service/watch_metrics.ts";
import type { GatewayConfig } from "./config.ts";
import type { Material } from "./material.ts";
import { certificatesInUse, type GatewayStatus, statusOf } from "./status.ts";

/** What the gateway tells when it is asked. */
export interface Watched {
  readonly listen: string;
  readonly phase: string;
  readonly connections: number;
  readonly inFlight: number;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly trust: Trust;
}

/** The watch over one gateway. */
export class Watch {
  readonly #startedAt: number;
  #outbound: Outbound | undefined;
  #generation = 1;
  #loadedAt: number;
  #config: GatewayConfig;
  #material: Material;

  constructor(
    readonly telemetry: Telemetry,
    config: GatewayConfig,
    material: Material,
    readonly look: () => Watched,
  ) {
    this.#startedAt = this.#loadedAt = telemetry.clock.now();
    this.#config = config;
    this.#material = material;
  }

  /** Begins to count what leaves; registers the metrics. */
  start(): void {
    this.#outbound = watchOutbound(this.telemetry, this.#config.outbound);
    registerWatchMetrics(this.telemetry, {
      startedAt: this.#startedAt,
      generation: () => this.#generation,
      loadedAt: () => this.#loadedAt,
      certificates: () => certificatesInUse(this.#material, this.look().trust),
    });
  }

  /** Another configuration was taken. */
  taken(config: GatewayConfig, material: Material): void {
    this.#config = config;
    this.#material = material;
    this.#generation++;
    this.#loadedAt = this.telemetry.clock.now();
  }

  /** Ends counting. */
  stop(): void {
    this.#outbound?.stop();
  }

  /** The status of now. */
  status(): GatewayStatus {
    return statusOf({
      ...this.look(),
      now: this.telemetry.clock.now(),
      startedAt: this.#startedAt,
      config: {
        generation: this.#generation,
        loadedAt: this.#loadedAt,
        routes: this.#config.routes.length,
      },
      telemetry: this.telemetry,
      material: this.#material,
    });
  }
}
