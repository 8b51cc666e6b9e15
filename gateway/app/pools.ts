/** The pools of a configuration. */

import type { Clock } from "shared/transport/clock.ts";
import { type Instance, Pool } from "../service/pool.ts";
import type { Telemetry } from "../service/telemetry.ts";
import { upstreamClient } from "../transport/http1/upstream.ts";
import type { GatewayConfig } from "./config.ts";
import type { Material } from "./material.ts";

/** Makes the pools; none of them connects before it is started or asked. */
export function makePools(
  config: GatewayConfig,
  material: Material,
  clock: Clock,
  telemetry: Telemetry,
): ReadonlyMap<string, Pool> {
  return new Map(
    Object.entries(config.upstreams).map(([name, upstream]) => {
      const client = (text: string) => {
        const target = new URL(text);
        return upstreamClient({
          url: target,
          tls: material.upstreamTls.get(name),
          maxSockets: upstream.maxConnectionsPerInstance,
          connectTimeoutMs: upstream.connectTimeoutMs,
          idleTimeoutMs: upstream.idleTimeoutMs,
          onSent: (bytes) => telemetry.outbound?.add(`upstream ${name} ${target.host}`, bytes),
        });
      };
      const instances = upstream.instances.map(({ url, health }): Instance => {
        const main = client(url);
        return { name: main.host, client: main, probe: health === undefined ? main : client(health) };
      });
      return [name, new Pool(name, instances, upstream.health, upstream.health, clock, telemetry)];
    }),
  );
}
