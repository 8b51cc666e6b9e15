/** The pools of a configuration. */

import type { Clock } from "shared/transport/clock.ts";
import { type Instance, Pool } from "../service/pool.ts";
import type { Telemetry } from "../service/telemetry.ts";
import { upstreamClient } from "../transport/upstream_client.ts";
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
        const url = new URL(text);
        const destination = `upstream ${name} ${url.host}`;
        return upstreamClient({
          url,
          tls: material.upstreamTls.get(name),
          maxSockets: upstream.maxConnectionsPerInstance,
          maxWaiting: upstream.maxWaitingPerInstance,
          connectTimeoutMs: upstream.connectTimeoutMs,
          idleTimeoutMs: upstream.idleTimeoutMs,
          sent: (bytes) => telemetry.outbound?.add(destination, bytes),
        });
      };
      const instances = upstream.instances.map(({ url, health }): Instance => {
        const main = client(url);
        return { name: main.host, client: main, probe: health === undefined ? main : client(health) };
      });
      const { health, breaker, retries } = upstream;
      const rules = { health, probes: health, breaker, retries };
      return [name, new Pool(name, instances, rules, clock, telemetry)];
    }),
  );
}
