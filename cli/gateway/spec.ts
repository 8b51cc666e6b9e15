/** How a gateway process is started: under its permission set, with the addresses and files of its configuration. */

import { ownAddress } from "gateway/app/addresses.ts";
import { type GatewayConfig, listSources } from "gateway/app/config.ts";
import { protectionFiles } from "gateway/app/protection_material.ts";
import type { ChildSpec } from "../process/child.ts";
import {
  STANDARD,
  STANDARD_FOLDER,
  STANDARD_LIMIT_STORE,
  STANDARD_RECOVER,
  STANDARD_REVOCATION,
  STANDARD_TRACING,
} from "../spine/layout.ts";

/** Ports on which a gateway that gets its sockets handed proves its refusals. */
export interface ProofPorts {
  readonly proofPort: number;
  readonly foreignPort: number;
}

/**
 * How the engine looks after the memory of a process that makes twenty kilobytes for each request and forgets them within milliseconds
 * (docs/benchmarks/gateway.md has the figures).
 */
export const GATEWAY_ENGINE = [
  // A quiet minute would make it give memory back, and collect a hundred times a second when load returns.
  "--no-memory-reducer",
  // What lives long at the start, or while the machine stands still, would for ever be made among the old: with all that hangs on it.
  "--no-allocation-site-pretenuring",
  // Megabytes: a pause for what is young grows with them.
  "--max-semi-space-size=8",
].join(",");

/** The process of a configuration; `args` come after `--config`. */
export function gatewaySpec(
  file: string,
  config: GatewayConfig,
  proof?: ProofPorts,
  args: readonly string[] = [],
): Omit<ChildSpec, "logFile" | "readyTimeoutMs"> {
  return {
    name: "gateway",
    module: "gateway/app/main.ts",
    permissions: "gateway",
    substitution: gatewaySubstitution(file, config, proof),
    args: ["--config", file, ...args],
    engine: GATEWAY_ENGINE,
  };
}

/** The addresses and folders of a configuration, in place of those in the permission set `gateway`: net to exactly its peers. */
export function gatewaySubstitution(
  file: string,
  config: GatewayConfig,
  proof?: ProofPorts,
): Record<string, string | string[]> {
  const folder = file.replace(/\/[^/]*$/, "");
  // Port 0 takes a free one, which canaries connect to as well: then the whole host is the peer.
  const address = (host: string, port: number) =>
    `${host.includes(":") ? `[${host}]` : host}${port === 0 ? "" : `:${port}`}`;
  const at = (path: string) => path.startsWith("/") ? path : `${folder}/${path}`;
  const { serverName } = config.canaries;
  const witnesses = config.eventLog?.witnesses;
  const upstreams = Object.values(config.upstreams).flatMap(({ instances }) =>
    instances.flatMap(({ url, health }) => [url, ...(health ? [health] : [])].map(hostAndPort))
  ).concat(witnesses?.peers.map(({ url }) => hostAndPort(url)) ?? []);
  const files = [
    config.listen.certificate,
    config.listen.key,
    ...config.clients.authorities.flatMap((each) => [
      each.certificate,
      ...listSources(each).filter(({ isUrl }) => !isUrl).map(({ name }) => name),
    ]),
    ...Object.values(config.apis).map(({ document }) => document),
    config.canaries.serverAuthority,
    ...[config.canaries.valid, config.canaries.expired, config.canaries.revoked]
      .flatMap(({ certificate, key }) => [certificate, key]),
    ...Object.values(config.upstreams).flatMap(({ tls }) =>
      tls ? [tls.certificate, tls.key, ...tls.authorities] : []
    ),
    ...(config.eventLog ? [config.eventLog.keyFile, config.eventLog.pseudonymKeyFile] : []),
    ...Object.values(witnesses?.tls ?? {}),
    ...protectionFiles(config),
  ].map(at);
  const written = config.eventLog
    ? [at(config.eventLog.folder), at(config.eventLog.sequenceFile).replace(/\/[^/]*$/, "")]
    : [];
  return {
    [STANDARD.gatewayA.listen]: [
      address(config.listen.address, config.listen.port),
      ...(proof === undefined ? [] : [
        address(config.listen.address, proof.proofPort),
        address(ownAddress(config.listen.address), proof.proofPort),
        address(config.admin.address, proof.foreignPort),
        ...(serverName ? [address(serverName, proof.proofPort), address(serverName, proof.foreignPort)] : []),
      ]),
      ...(serverName
        ? [address(serverName, config.listen.port), address(serverName, config.admin.port)]
        : []),
    ],
    [STANDARD.gatewayA.admin]: address(config.admin.address, config.admin.port),
    [STANDARD_REVOCATION]: config.clients.authorities.flatMap(({ revocationUrls }) =>
      revocationUrls.map(hostAndPort)
    ),
    [STANDARD_LIMIT_STORE]: config.limitStore === undefined ? [] : hostAndPort(config.limitStore.url),
    [STANDARD_TRACING]: config.tracing === undefined ? [] : hostAndPort(config.tracing.endpoint),
    [STANDARD.attestationA.listen]: upstreams,
    [STANDARD.attestationA.admin]: upstreams,
    [STANDARD.attestationB.listen]: upstreams,
    [STANDARD.attestationB.admin]: upstreams,
    [STANDARD_RECOVER]: upstreams,
    [`${STANDARD_FOLDER}/gateway-a`]: [file, ...files],
    [`${STANDARD_FOLDER}/pki`]: files,
    [`${STANDARD_FOLDER}/event-logs/gateway-a`]: written,
  };
}

function hostAndPort(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
}
