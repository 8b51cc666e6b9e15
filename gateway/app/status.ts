/** How a gateway is, as one value: the status page shows it, and `/status.json` gives it to programs. */

import { X509Certificate } from "node:crypto";
import type { Trust } from "shared/protocol/x509/trust.ts";
import type { ActivityView } from "../service/activity.ts";
import type { OutboundState } from "../service/outbound.ts";
import type { Pool } from "../service/pool.ts";
import type { Telemetry } from "../service/telemetry.ts";
import type { CertificateInUse } from "../service/watch_metrics.ts";
import type { Material } from "./material.ts";

/** The revocation list of one authority. */
export interface RevocationStatus {
  readonly authority: string;
  /** Milliseconds since 1970; undefined: there is none. */
  readonly freshUntil?: number;
  readonly entries: number;
  readonly whenStale: "refuse" | "accept";
}

/** The status. Times are milliseconds since 1970. */
export interface GatewayStatus {
  readonly listen: string;
  readonly phase: string;
  readonly now: number;
  readonly startedAt: number;
  readonly config: { readonly generation: number; readonly loadedAt: number; readonly routes: number };
  readonly connections: number;
  readonly inFlight: number;
  readonly memoryBytes: number;
  readonly upstreams: readonly { readonly pool: string; readonly instance: string; readonly state: string }[];
  readonly activity: ActivityView;
  readonly outbound: readonly OutboundState[];
  readonly certificates: readonly CertificateInUse[];
  readonly revocation: readonly RevocationStatus[];
}

/** What a status is made of. */
export interface StatusSources {
  readonly listen: string;
  readonly phase: string;
  readonly now: number;
  readonly startedAt: number;
  readonly config: GatewayStatus["config"];
  readonly connections: number;
  readonly inFlight: number;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly telemetry: Telemetry;
  readonly trust: Trust;
  readonly material: Material;
}

/** Makes the status. */
export function statusOf(sources: StatusSources): GatewayStatus {
  const { pools, telemetry, trust, material, ...plain } = sources;
  return {
    ...plain,
    memoryBytes: Deno.memoryUsage().rss,
    upstreams: [...pools].flatMap(([pool, each]) => each.states().map((state) => ({ pool, ...state }))),
    activity: telemetry.activity.view(),
    outbound: telemetry.outbound?.states() ?? [],
    certificates: certificatesInUse(material, trust),
    revocation: trust.authorities.map(({ name, list, maxAgeMs, whenStale }) => ({
      authority: name,
      ...(list === undefined
        ? {}
        : { freshUntil: Math.min(list.nextUpdate, list.thisUpdate + (maxAgeMs ?? Infinity)) }),
      entries: list?.revoked.size ?? 0,
      whenStale,
    })),
  };
}

/** The certificates that a gateway works with, and when they end. */
export function certificatesInUse(material: Material, trust: Trust): CertificateInUse[] {
  const end = (pem: string) => new X509Certificate(pem).validToDate.getTime();
  return [
    { use: "listener", notAfter: end(material.listener.certificate) },
    ...[...material.upstreamTls].map(([name, { certificate }]) => ({
      use: `upstream ${name}`,
      notAfter: end(certificate),
    })),
    ...trust.authorities.map(({ name, certificate }) => ({
      use: `authority ${name}`,
      notAfter: certificate.notAfter.getTime(),
    })),
  ].sort((a, b) => a.notAfter - b.notAfter);
}
