/** Everything that a configuration points at, read and checked: certificates, keys, authorities, rules. */

import { createPrivateKey, X509Certificate as NodeCertificate } from "node:crypto";
import type { Clock } from "shared/transport/clock.ts";
import { CodedError } from "shared/base/errors.ts";
import { uriNames } from "shared/protocol/x509/names.ts";
import { readPemCertificates, readTrust, type Trust } from "shared/protocol/x509/trust.ts";
import { compileClientPatterns } from "../domain/client_names.ts";
import { compileIdentityPatterns } from "../domain/identity.ts";
import { compileNetworks } from "../domain/networks.ts";
import type { ConcurrencyRule, RateRule } from "../domain/rate_rule.ts";
import { compilePathPattern, type Route } from "../domain/routes.ts";
import type { Policy } from "../service/admit.ts";
import { CANARY_EXPECTATIONS, type CanaryFiles } from "../service/canaries.ts";
import type { Verifier } from "../service/peers.ts";
import type { AuthorityLists, Collected, RevocationLists } from "../service/revocation_lists.ts";
import type { KeyPair } from "../transport/canary_client.ts";
import type { ListenerSecrets } from "../transport/listener.ts";
import type { UpstreamTls } from "../transport/upstream_client.ts";
import { type Apis, descriptionRule, readApis } from "./api_config.ts";
import { type GatewayConfig, listSources } from "./config.ts";
import { besideConfig, readTextFile } from "./config_file.ts";
import { rateNames } from "./protection_config.ts";
import { type ProtectionMaterial, readProtection } from "./protection_material.ts";

/** The contents of the files. */
export interface Material {
  readonly listener: ListenerSecrets;
  readonly trust: Trust;
  readonly serverAuthority: string;
  readonly canaries: CanaryFiles;
  readonly upstreamTls: ReadonlyMap<string, UpstreamTls>;
  readonly apis: Apis;
  /** Lists as they were collected for `trust`; committed when it is taken. */
  readonly lists: Collected;
  readonly protection: ProtectionMaterial;
}

/** Reads authorities, and asks every source of their lists. @throws {CodedError} `GATEWAY_FILE`, `X509_*`. */
export async function readClientTrust(
  configPath: string,
  authorities: GatewayConfig["clients"]["authorities"],
  lists: RevocationLists,
): Promise<{ readonly trust: Trust; readonly pems: readonly string[]; readonly lists: Collected }> {
  const sources = await Promise.all(authorities.map(async (authority): Promise<AuthorityLists> => {
    const path = besideConfig(configPath, authority.certificate);
    return {
      certificates: { name: authority.certificate, pem: await readTextFile(path, "client authority") },
      bounds: { timeoutMs: authority.fetchTimeoutMs, maxBytes: authority.maxListBytes },
      sources: listSources(authority).map(({ name, isUrl }) => ({
        name,
        ...(isUrl ? {} : { readFile: () => Deno.readFile(besideConfig(configPath, name)) }),
      })),
    };
  }));
  const collected = await lists.collect(sources);
  const trust = await readTrust(authorities.map((authority, i) => ({
    certificates: sources[i]!.certificates,
    revocationLists: collected.lists[i]!,
    whenStale: authority.whenStale,
    ...(authority.name === undefined ? {} : { group: authority.name }),
    ...(authority.maxAgeSeconds === undefined ? {} : { maxAgeMs: authority.maxAgeSeconds * 1000 }),
  })));
  return { trust, pems: sources.map(({ certificates }) => certificates.pem), lists: collected };
}

/**
 * Refuses lists that came from files and are unfit: at start and on a reload the operator stands by, later the last good one counts.
 * @throws {CodedError} `X509_REVOCATION_UNFIT`.
 */
export function requireGoodFiles(collected: Collected): void {
  const fault = collected.faults.find(({ isFile }) => isFile);
  if (fault === undefined) return;
  throw new CodedError(
    fault.fault === "list-unreachable"
      ? "GATEWAY_FILE"
      : fault.fault === "list-malformed"
      ? "X509_MALFORMED"
      : "X509_REVOCATION_UNFIT",
    `Cannot use revocation list ${fault.source}: ${fault.fault}, ${fault.detail}`,
    { fault: fault.fault },
  );
}

/** A key that is not the certificate's is found here, before anything is replaced. @throws {CodedError} `GATEWAY_FILE`. */
export function requirePair(what: string, pair: KeyPair): KeyPair {
  let fits = false;
  try {
    fits = new NodeCertificate(pair.certificate).checkPrivateKey(createPrivateKey(pair.key));
  } catch {
    // What the library says could hold parts of the key.
  }
  if (fits) return pair;
  throw new CodedError("GATEWAY_FILE", `Cannot use the ${what}: its key does not belong to its certificate`);
}

/** Reads every file. @throws {CodedError} `GATEWAY_FILE`, or why an authority or a list is unfit. */
export async function readMaterial(
  configPath: string,
  config: GatewayConfig,
  lists: RevocationLists,
): Promise<Material> {
  const read = (path: string, what: string) => readTextFile(besideConfig(configPath, path), what);
  const pair = async (files: { certificate: string; key: string }, what: string): Promise<KeyPair> => ({
    certificate: await read(files.certificate, `${what} certificate`),
    key: await read(files.key, `${what} key`),
  });
  const clients = await readClientTrust(configPath, config.clients.authorities, lists);
  requireGoodFiles(clients.lists);
  const upstreamTls = new Map<string, UpstreamTls>();
  for (const [name, { tls }] of Object.entries(config.upstreams)) {
    if (tls === undefined) continue;
    const accepts = compileIdentityPatterns(tls.serverIdentities);
    upstreamTls.set(name, {
      ...requirePair(`upstream ${name}`, await pair(tls, `upstream ${name}`)),
      authorities: await Promise.all(tls.authorities.map((file) => read(file, `upstream ${name} authority`))),
      acceptsServer: (certificate) => uriNames(certificate).some(accepts),
    });
  }
  return {
    listener: {
      ...requirePair("listener", await pair(config.listen, "listener")),
      clientAuthorities: clients.pems,
      minVersion: config.listen.minVersion,
    },
    trust: clients.trust,
    lists: clients.lists,
    serverAuthority: await read(config.canaries.serverAuthority, "server authority"),
    canaries: {
      valid: await pair(config.canaries.valid, "valid canary"),
      expired: await pair(config.canaries.expired, "expired canary"),
      revoked: await pair(config.canaries.revoked, "revoked canary"),
    },
    upstreamTls,
    apis: await readApis(config.apis, read),
    protection: await readProtection(configPath, config),
  };
}

/** What the rules are made of, besides the configuration. */
export interface PolicyMaterial {
  readonly apis: Apis;
  readonly protection: Pick<ProtectionMaterial, "denied">;
}

/** Compiles the rules. */
export function compilePolicy(config: GatewayConfig, { apis, protection }: PolicyMaterial): Policy {
  const accepted = (
    { identities, authorities }: {
      readonly identities: readonly string[];
      readonly authorities?: readonly string[] | undefined;
    },
  ) => ({ identities: compileClientPatterns(identities), authorities });
  const limits = new Map(
    Object.entries(config.rateLimits).map(([name, limit]): [string, RateRule] => [
      name,
      { name, ...limit, burst: limit.burst ?? limit.quota },
    ]),
  );
  const concurrency = new Map(
    Object.entries(config.concurrencyLimits).map(([name, limit]): [string, ConcurrencyRule] => [
      name,
      { name, ...limit },
    ]),
  );
  return {
    denied: protection.denied,
    clientAddress: config.clientAddress && {
      from: config.clientAddress.from,
      trustedProxies: compileNetworks(config.clientAddress.trustedProxies),
    },
    routes: config.routes.map((route): Route => ({
      name: route.name,
      path: compilePathPattern(route.path),
      methods: route.methods,
      contentTypes: route.contentTypes,
      access: {
        ...accepted(route),
        roles: route.roles.map((name) => accepted(config.roles[name]!)),
      },
      networks: route.networks === undefined ? undefined : compileNetworks(route.networks),
      rates: rateNames(route).map((name) => limits.get(name)!),
      concurrency: route.concurrency.map((name) => concurrency.get(name)!),
      backup: route.backup,
      priority: route.priority,
      maxBodyBytes: route.maxBodyBytes,
      firewall: descriptionRule(route.firewall, config, apis),
      upstream: route.upstream,
      deadlineMs: route.deadlineMs,
      repeatWithKey: route.repeatWithKey,
      affinity: route.affinity &&
        ("header" in route.affinity
          ? { kind: "header", name: route.affinity.header }
          : { kind: "segment", position: route.affinity.segment }),
      maxAnswerBytes: route.maxAnswerBytes,
    })),
  };
}

/**
 * Decides on the canaries' files without any connection: for `--check`, and before a reload is taken.
 * @throws {CodedError} `GATEWAY_CANARY`.
 */
export async function checkCanaries(
  material: Pick<Material, "canaries" | "trust">,
  clock: Clock,
  verifier: Verifier,
): Promise<void> {
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
