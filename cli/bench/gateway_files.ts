/** What every gateway of the benchmark is given: certificates, a revocation list, denied networks; and the configuration of ours. */

import { stringify } from "yaml";
import { DAY_MS, makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue, type Issued } from "shared/protocol/x509/certificate.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";

/** Sizes of what is written. */
export interface BenchFilesOptions {
  /** Client certificates. */
  readonly certificates: number;
  /** Denied networks, /24 each, none of them ours. */
  readonly denied: number;
}

/** Entries of the revocation list. */
const REVOKED = 1_000;
/** The path that is asked for; every subject lets `/things/...` through. */
export const BENCH_PATH = "/things/1";

/** Writes the files that all share into a folder. */
export async function writeBenchFiles(folder: string, options: BenchFilesOptions): Promise<void> {
  const now = Date.now();
  const clients = await makeAuthority("bench clients", { now });
  const servers = await makeAuthority("bench servers", { now });
  const text = (name: string, content: string) =>
    Deno.writeTextFile(`${folder}/${name}`, content, { mode: 0o600 });
  const put = async (name: string, issued: Issued) => {
    await text(`${name}.crt`, issued.certificatePem);
    await text(`${name}.key`, issued.privateKeyPem);
  };
  const gateway = await issue(servers, {
    now,
    commonName: "gateway",
    usages: ["server", "client"],
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
  });
  await put("gateway", gateway);
  await text("gateway.pem", gateway.certificatePem + gateway.privateKeyPem);
  await text("clients.crt", clients.certificatePem);
  await text("servers.crt", servers.certificatePem);
  const client = (name: string, more = {}) =>
    issue(clients, { now, commonName: name, uris: [`urn:recovery-key:station:${name}`], ...more });
  const revoked = await client("revoked");
  await put("canary-valid", await client("canary"));
  await put("canary-revoked", revoked);
  await put(
    "canary-expired",
    await client("expired", { notBefore: now - 9 * DAY_MS, notAfter: now - DAY_MS }),
  );
  const serials = Array.from({ length: REVOKED - 1 }, (_, i) => (0x7000_0000 + i).toString(16));
  await text(
    "clients.crl",
    await makeCrl(clients, { now: now - 1_000, revoked: [revoked.serialNumber, ...serials] }),
  );
  let bundle = "";
  for (let i = 0; i < options.certificates; i++) {
    const { certificatePem, privateKeyPem } = await client(`station-${i}`);
    bundle += certificatePem + privateKeyPem;
  }
  await text("clients.pem", bundle);
  const denied = deniedNetworks(options.denied);
  await text("deny.lst", denied.map((network) => `${network}\n`).join(""));
  await text("deny.nginx", denied.map((network) => `${network} 1;\n`).join(""));
}

/** Networks that deny nobody here: /24 from 11.0.0.0 on. */
export function deniedNetworks(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${11 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`);
}

/** Where ours listens and what it is asked to carry. */
export interface OwnConfigOptions {
  readonly listen: number;
  readonly admin: number;
  /** `host:port`. */
  readonly upstream: string;
  /** Routes; the one that is asked for stands last. */
  readonly routes: number;
  readonly denied: readonly string[];
  /** Most connections in all and from one address. */
  readonly connections: number;
}

/** The configuration of our gateway, as YAML. */
export function ownConfig(options: OwnConfigOptions): string {
  const pair = (name: string) => ({ certificate: `${name}.crt`, key: `${name}.key` });
  const route = (name: string, path: string) => ({
    name,
    path,
    methods: ["GET"],
    identities: ["urn:recovery-key:station:*"],
    rateLimit: "clients",
    upstream: "service",
  });
  return stringify({
    listen: { address: "127.0.0.1", port: options.listen, ...pair("gateway") },
    admin: { address: "127.0.0.1", port: options.admin },
    clients: { authorities: [{ certificate: "clients.crt", revocationList: "clients.crl" }] },
    canaries: {
      serverAuthority: "servers.crt",
      valid: pair("canary-valid"),
      expired: pair("canary-expired"),
      revoked: pair("canary-revoked"),
    },
    denyNetworks: options.denied,
    limits: {
      maxConnections: options.connections,
      maxConnectionsPerAddress: options.connections,
      keepAliveTimeoutMs: 600_000,
    },
    // Those who fail their handshakes, as the example has it.
    handshakes: { failedPerAddress: { quota: 60, windowSeconds: 60, burst: 20 } },
    bans: { threshold: 100, halfLifeSeconds: 60, banSeconds: 60, maxBanSeconds: 3_600 },
    rateLimits: { clients: { quota: 1_000_000, windowSeconds: 1, burst: 1_000_000 } },
    upstreams: {
      service: { instances: [{ url: `http://${options.upstream}` }], idleTimeoutMs: 60_000 },
    },
    routes: [
      ...Array.from({ length: options.routes - 1 }, (_, i) => route(`other-${i}`, `/others/${i}/{thing}`)),
      route("things", "/things/{thing}"),
    ],
  });
}
