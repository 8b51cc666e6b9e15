/** The configuration files of Recover's processes in a local spine. */

import type { JWK } from "jose";
import { stringify } from "yaml";
import type { DatabaseEventLogConfig, ServiceEventLogConfig } from "shared/log/writer/config.ts";
import type { SpineAddresses } from "../layout.ts";
import { providerPath } from "./gateway.ts";
import {
  COMPANION_FILE,
  type Instance,
  type ProviderIndex,
  providerName,
  PROVIDERS,
  type RecoverAddresses,
} from "./layout.ts";
import type { LocalVerifier } from "./verifiers.ts";

/** A token, as configurations name it. */
export type TokenSection =
  | { readonly kind: "software"; readonly file: string; readonly passphraseFile: string }
  | {
    readonly kind: "pkcs11";
    readonly library: string;
    readonly tokenLabel: string;
    readonly pinFile: string;
  };

/** A database, as configurations name it. */
export interface DatabaseSection {
  readonly url: string;
  readonly tls?: { readonly authority: string; readonly certificate: string; readonly key: string };
}

/** How long the orchestrators leave a session alone, in milliseconds; their own defaults when absent. */
export interface SessionTimes {
  readonly sweepMs?: number;
  readonly sessionMs?: number;
  readonly carryThroughMs?: number;
}

const HEADER = "# Written by `rk` for a local spine; a restart writes it again.\n";

/** Writes a configuration, for its owner only. */
export function writeYaml(path: string, value: unknown): Promise<void> {
  return Deno.writeTextFile(path, HEADER + stringify(value, { lineWidth: 0 }), { mode: 0o600 });
}

const authority = (name: string) => ({
  authority: `../../pki/${name}.crt`,
  revocationList: `../../pki/${name}.crl`,
});

/** A vault's configuration. */
export function vaultConfiguration(options: {
  readonly index: ProviderIndex;
  readonly instance: Instance;
  readonly hsm: TokenSection;
  readonly verifier: LocalVerifier;
  readonly lockAuthority: JWK;
  /** Public key (65, hex) that certifies devices. */
  readonly issuer: string;
}): object {
  const { index, instance, hsm, verifier, lockAuthority, issuer } = options;
  return {
    name: providerName(index),
    index,
    pipes: `pipes-${instance}`,
    hsm,
    certificateFile: "certificate.hex",
    verificationKeyFile: "verification-key.json",
    deviceIssuers: [issuer],
    verifier: { issuer: verifier.issuer, url: `${verifier.url}/start`, pinnedKey: verifier.pinnedKey },
    lockAuthority,
  };
}

/** A node's configuration. */
export function nodeConfiguration(
  index: ProviderIndex,
  instance: Instance,
  { providers }: RecoverAddresses,
  database: DatabaseSection,
  eventLog: DatabaseEventLogConfig,
): object {
  const { nodes, verifier } = providers[index];
  return {
    name: `provider-${index}-${instance}`,
    ...nodes[instance],
    path: providerPath(index),
    tls: {
      certificate: `server-${instance}.crt`,
      key: `server-${instance}.key`,
      gateways: authority("internal"),
      orchestrators: authority("client"),
    },
    database,
    eventLog,
    pipes: `pipes-${instance}`,
    statusFile: "status.jwt",
    keySet: { url: `http://${verifier}/jwks.jwt` },
  };
}

/** An orchestrator's configuration. */
export function orchestratorConfiguration(instance: Instance, options: {
  readonly addresses: RecoverAddresses;
  readonly gateways: Pick<SpineAddresses, "gatewayA" | "gatewayB">;
  readonly database: DatabaseSection;
  readonly hsm: TokenSection;
  /** Public key (65, hex) that certifies devices and services. */
  readonly issuer: string;
  /** Public key (65, hex) of each provider. */
  readonly providerKeys: Readonly<Record<ProviderIndex, string>>;
  readonly times: SessionTimes;
  readonly eventLog: ServiceEventLogConfig;
  /** The root's signature (hex); absent before `init` told what to sign. */
  readonly signature?: string;
}): object {
  const { addresses, gateways, database, hsm, issuer, providerKeys, times, eventLog, signature } = options;
  return {
    name: `orchestrator-${instance}`,
    ...addresses.orchestrators[instance],
    tls: {
      certificate: `server-${instance}.crt`,
      key: `server-${instance}.key`,
      gateways: authority("internal"),
      clients: authority("client"),
    },
    database,
    hsm,
    ...(signature === undefined ? {} : { certificateSignature: signature }),
    deviceIssuers: [issuer],
    providerRoot: issuer,
    providers: PROVIDERS.map((index) => ({
      name: providerName(index),
      publicKey: providerKeys[index],
      servers: [gateways.gatewayA, gateways.gatewayB].map(({ listen }) =>
        `https://${listen}${providerPath(index)}`
      ),
      tls: { authority: "../../pki/server.crt", certificate: "client.crt", key: "client.key" },
    })),
    eventLog,
    limits: times,
  };
}

/** Writes what `rk wallet recover --config` takes. */
export function writeCompanion(folder: string, { gatewayA, gatewayB }: SpineAddresses): Promise<void> {
  return writeYaml(`${folder}/${COMPANION_FILE}`, {
    gateways: [gatewayA, gatewayB].map(({ listen }) => `https://${listen}`),
    tls: { authority: "../pki/server.crt", certificate: "tls.crt", key: "tls.key" },
  });
}
