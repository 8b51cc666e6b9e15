/** The update service of a local spine: its configurations, its processes, and the repository beside it. */

import { stringify } from "yaml";
import { toHex } from "shared/base/bytes.ts";
import { ISSUER_LABEL, RELEASE_LABEL } from "factory/domain/factory_keys.ts";
import { readUpdateConfig, readUpdateVaultConfig } from "factory/app/update_config.ts";
import { releaseServeSpec } from "../../commands/release.ts";
import { updateServiceSpec, updateVaultSpec } from "../../commands/update_service.ts";
import { ensurePipes } from "../../process/pipes.ts";
import { type Child, type ChildSpec, startChild } from "../../process/child.ts";
import type { Token } from "../backends.ts";
import { eventLogPaths, originOf, provisionFileLog, UPDATE_LOG } from "../event_logs.ts";
import type { SpineAddresses } from "../layout.ts";
import { type UpdateAddresses, WALLET_UPDATE_FILE } from "./layout.ts";
import { provisionReleases } from "./releases.ts";

/** What the services are started with. */
export interface UpdateOptions {
  /** The spine's folder. */
  readonly folder: string;
  readonly gateways: SpineAddresses;
  readonly addresses: UpdateAddresses;
  readonly token: Token;
  /** Adds what every process of the spine has: its log, whether it outlives us. */
  readonly spec: (name: string, spec: Omit<ChildSpec, "logFile">) => ChildSpec;
  /** Running processes by name; what is started is added. */
  readonly children: Map<string, Child>;
  /** How each process is started again. */
  readonly specs: Map<string, ChildSpec>;
}

const HEADER = "# Written by `rk` for a local spine; a restart writes it again.\n";
/** Label of the key under which authorizations are sealed. */
const AUTHORIZATION_LABEL = "upgrade-authorization";

/** Starts repository, vault and service, and writes what a wallet needs. */
export async function startUpdate(options: UpdateOptions): Promise<void> {
  const { folder, gateways, addresses, token, children, specs } = options;
  const { hsm } = token;
  if (!(await hsm.keys()).some(({ label }) => label === AUTHORIZATION_LABEL)) {
    await hsm.generateStorageKey(AUTHORIZATION_LABEL);
  }
  const own = `${folder}/update`;
  const write = (file: string, value: unknown) =>
    Deno.writeTextFile(`${folder}/${file}`, HEADER + stringify(value, { lineWidth: 0 }), { mode: 0o600 });
  const { root } = await provisionReleases(`${own}/repository`, hsm);
  const releaseKey = toHex(await hsm.publicKey(RELEASE_LABEL));
  const authority = (name: string) => ({
    authority: `${folder}/pki/${name}.crt`,
    revocationList: `${folder}/pki/${name}.crl`,
  });
  const bases = [gateways.gatewayA, gateways.gatewayB].map(({ listen }) => `https://${listen}`);
  await write("update/service/config.yaml", {
    name: "update-a",
    ...addresses.service,
    tls: {
      certificate: "server.crt",
      key: "server.key",
      gateways: authority("internal"),
      clients: authority("client"),
    },
    store: { kind: "sqlite", file: `${own}/store/authorizations.sqlite` },
    pipes: `${own}/pipes`,
    revocations: {
      addresses: bases.map((base) => `${base}/v1/revocations`),
      tls: { authority: `${folder}/pki/server.crt`, certificate: "client.crt", key: "client.key" },
    },
    eventLog: await provisionFileLog({
      origin: originOf(UPDATE_LOG),
      own: eventLogPaths(folder, UPDATE_LOG).log.replace(/\/log$/, ""),
      trust: eventLogPaths(folder, UPDATE_LOG).trust,
      keys: `${own}/service`,
    }),
  });
  await write("update/vault/config.yaml", {
    hsm: token.configuration,
    labels: { authorization: AUTHORIZATION_LABEL },
    pipes: `${own}/pipes`,
    issuers: [toHex(await hsm.publicKey(ISSUER_LABEL))],
    releaseKey,
    root,
  });
  await write(WALLET_UPDATE_FILE, {
    gateways: bases,
    tls: { authority: `${folder}/pki/server.crt`, certificate: "update.crt", key: "update.key" },
    root,
    releaseKey,
  });
  const vaultFile = `${own}/vault/config.yaml`;
  const vaultConfig = readUpdateVaultConfig(vaultFile);
  await ensurePipes(vaultConfig.pipes);
  const vault = updateVaultSpec(vaultFile, vaultConfig, "serve");
  const serviceFile = `${own}/service/config.yaml`;
  const planned: Readonly<Record<string, Omit<ChildSpec, "logFile">>> = {
    "update-vault": { ...vault, env: { ...vault.env, ...token.env } },
    "update": updateServiceSpec(serviceFile, readUpdateConfig(serviceFile)),
    "releases": releaseServeSpec({
      listen: addresses.releases,
      folder: `${own}/repository/public`,
      cert: `${own}/releases.crt`,
      key: `${own}/releases.key`,
      authority: `${folder}/pki/internal.crt`,
    }),
  };
  await Promise.all(
    Object.entries(planned).map(async ([name, spec]) => {
      const whole = options.spec(name, spec);
      specs.set(name, whole);
      children.set(name, await startChild(whole));
    }),
  );
}
