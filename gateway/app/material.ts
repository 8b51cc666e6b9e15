/** Everything that a configuration points at, read and checked: certificates, keys, authorities, rules. */

import type { Clock } from "shared/transport/clock.ts";
import { CodedError } from "shared/base/errors.ts";
import { uriNames } from "shared/protocol/x509/names.ts";
import { readPemCertificates, readTrust, type Trust } from "shared/protocol/x509/trust.ts";
import { compileIdentityPatterns } from "../domain/identity.ts";
import { compileNetworks } from "../domain/networks.ts";
import { compilePathPattern, type Route } from "../domain/routes.ts";
import type { Policy } from "../service/admit.ts";
import { CANARY_EXPECTATIONS, type CanaryFiles } from "../service/canaries.ts";
import type { Verifier } from "../service/peers.ts";
import type { KeyPair } from "../transport/canary_client.ts";
import type { ListenerSecrets } from "../transport/listener.ts";
import type { UpstreamTls } from "../transport/upstream_client.ts";
import type { GatewayConfig } from "./config.ts";
import { besideConfig, readTextFile } from "./config_file.ts";

/** The contents of the files. */
export interface Material {
  readonly listener: ListenerSecrets;
  readonly trust: Trust;
  readonly serverAuthority: string;
  readonly canaries: CanaryFiles;
  readonly upstreamTls: ReadonlyMap<string, UpstreamTls>;
}

/** Reads every file. @throws {CodedError} `GATEWAY_FILE`, or why an authority or a list is unfit. */
export async function readMaterial(configPath: string, config: GatewayConfig): Promise<Material> {
  const read = (path: string, what: string) => readTextFile(besideConfig(configPath, path), what);
  const pair = async (files: { certificate: string; key: string }, what: string): Promise<KeyPair> => ({
    certificate: await read(files.certificate, `${what} certificate`),
    key: await read(files.key, `${what} key`),
  });
  const sources = await Promise.all(config.clients.authorities.map(async (authority) => ({
    certificates: { name: authority.certificate, pem: await read(authority.certificate, "client authority") },
    ...(authority.revocationList === undefined ? {} : {
      revocationList: {
        name: authority.revocationList,
        pem: await read(authority.revocationList, "revocation list"),
      },
    }),
    whenStale: authority.whenStale,
  })));
  const upstreamTls = new Map<string, UpstreamTls>();
  for (const [name, { tls }] of Object.entries(config.upstreams)) {
    if (tls === undefined) continue;
    const accepts = compileIdentityPatterns(tls.serverIdentities);
    upstreamTls.set(name, {
      ...await pair(tls, `upstream ${name}`),
      authorities: await Promise.all(tls.authorities.map((file) => read(file, `upstream ${name} authority`))),
      acceptsServer: (certificate) => uriNames(certificate).some(accepts),
    });
  }
  return {
    listener: {
      ...await pair(config.listen, "listener"),
      clientAuthorities: sources.map((source) => source.certificates.pem),
      minVersion: config.listen.minVersion,
    },
    trust: await readTrust(sources),
    serverAuthority: await read(config.canaries.serverAuthority, "server authority"),
    canaries: {
      valid: await pair(config.canaries.valid, "valid canary"),
      expired: await pair(config.canaries.expired, "expired canary"),
      revoked: await pair(config.canaries.revoked, "revoked canary"),
    },
    upstreamTls,
  };
}

/** Compiles the rules. */
export function compilePolicy(config: GatewayConfig): Policy {
  const limits = new Map(
    Object.entries(config.rateLimits).map(([name, limit]) => [name, {
      name,
      quota: limit.quota,
      windowSeconds: limit.windowSeconds,
      burst: limit.burst ?? limit.quota,
    }]),
  );
  return {
    denied: compileNetworks(config.denyNetworks),
    routes: config.routes.map((route): Route => ({
      name: route.name,
      path: compilePathPattern(route.path),
      methods: route.methods,
      contentTypes: route.contentTypes,
      identities: compileIdentityPatterns(route.identities),
      networks: route.networks === undefined ? undefined : compileNetworks(route.networks),
      limit: route.rateLimit === undefined ? undefined : limits.get(route.rateLimit),
      maxBodyBytes: route.maxBodyBytes,
      upstream: route.upstream,
      deadlineMs: route.deadlineMs,
    })),
  };
}

/**
 * Decides on the canaries' files without any connection: for `--check`, and before a reload is taken.
 * @throws {CodedError} `GATEWAY_CANARY`.
 */
export async function checkCanaries(material: Material, clock: Clock, verifier: Verifier): Promise<void> {
  for (const [kind, keys] of Object.entries(material.canaries) as [keyof CanaryFiles, KeyPair][]) {
    const chain = readPemCertificates(`${kind} canary`, keys.certificate);
    const verdict = await verifier(chain, material.trust, { usage: "client", now: clock.now() });
    const outcome = verdict.kind === "accept" ? "accepted" : verdict.reason;
    const expected = CANARY_EXPECTATIONS[kind];
    if (outcome !== expected) {
      throw new CodedError(
        "GATEWAY_CANARY",
        `Cannot use the ${kind} canary: it has to be ${expected}, but is ${outcome}`,
      );
    }
  }
}
