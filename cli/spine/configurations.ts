/** The configuration files of a spine's processes, written from one description of the spine. */

import { stringify } from "yaml";
import { attestationDocument } from "factory/app/attestation_document.ts";
import type { EventLogSections } from "./event_logs.ts";
import type { GatewaySections } from "./recover/gateway.ts";
import { portOf, type SpineAddresses } from "./layout.ts";
import type { SenderPublicKeys } from "./sender_keys.ts";

/** Which database and token the attestation services use. */
export interface Backends {
  readonly databaseUrl: string;
  readonly databaseTls?: { authority: string; certificate: string; key: string };
  readonly hsm:
    | { kind: "software"; file: string; passphraseFile: string }
    | { kind: "pkcs11"; library: string; tokenLabel: string; pinFile: string };
}

/** Public keys of those who may send requests. */
export interface Senders {
  readonly station: SenderPublicKeys;
  readonly batchManager: SenderPublicKeys;
}

/** Serials of a local spine: a range that no real factory has. */
const LOCAL_SERIALS = { first: "7F000001", last: "7FFFFFFF" };

/** Name of the station of a local spine. */
export const LOCAL_STATION = "line-1";
/** Name of the batch manager of a local spine. */
export const LOCAL_BATCH_MANAGER = "local";

/** The description of the attestation service beside a gateway's configuration. */
const DESCRIPTION = "attestation.openapi.json";

const HEADER = "# Written by `rk` for a local spine; a restart writes it again.\n";

/** What services that not every spine has add to the gateways. */
export interface GatewayPart {
  /** Documents beside the configuration, by file name. */
  readonly documents: Readonly<Record<string, object>>;
  readonly sections: GatewaySections;
}

/** Writes gateway-*, attestation-*, station and batch-manager configurations below `folder`. */
export async function writeConfigurations(
  folder: string,
  addresses: SpineAddresses,
  backends: Backends,
  senders: Senders,
  logs: EventLogSections,
  parts: readonly GatewayPart[],
): Promise<void> {
  const logged = (value: object, eventLog: unknown) => ({ ...value, eventLog });
  const write = (file: string, value: unknown) =>
    Deno.writeTextFile(`${folder}/${file}`, HEADER + stringify(value, { lineWidth: 0 }), { mode: 0o600 });
  const documents: Record<string, object> = { [DESCRIPTION]: attestationDocument() };
  for (const part of parts) Object.assign(documents, part.documents);
  for (const instance of ["a", "b"] as const) {
    const own = `gateway-${instance}` as const;
    for (const [name, document] of Object.entries(documents)) {
      const text = JSON.stringify(document, null, 2) + "\n";
      await Deno.writeTextFile(`${folder}/${own}/${name}`, text, { mode: 0o600 });
    }
    await write(`${own}/config.yaml`, logged(gateway(instance, addresses, parts), logs[own]));
  }
  await write(
    "attestation-a/config.yaml",
    logged(attestation("a", addresses, backends, senders), logs.attestation),
  );
  await write(
    "attestation-b/config.yaml",
    logged(attestation("b", addresses, backends, senders), logs.attestation),
  );
  await write(
    "station/station.yaml",
    logged(client(folder, addresses, "station", LOCAL_STATION), logs.station),
  );
  await write("batch-manager/client.yaml", client(folder, addresses, "batch-manager", LOCAL_BATCH_MANAGER));
}

const post = (name: string, path: string, identities: string[], rateLimit: string) => ({
  name,
  path,
  methods: ["POST"],
  contentTypes: ["application/json"],
  identities,
  rateLimit,
  firewall: { api: "attestation" },
  upstream: "attestation",
  // The service answers a repeated key with the first answer.
  repeatWithKey: true,
});

const STATIONS = "urn:recovery-key:station:*";
const WALLETS = "urn:recovery-key:wallet:*";
const UPDATES = "urn:recovery-key:update:*";
const BATCH_MANAGERS = "urn:recovery-key:batch-manager:*";

function gateway(
  instance: "a" | "b",
  addresses: SpineAddresses,
  parts: readonly GatewayPart[],
): object {
  const sections = parts.map((part) => part.sections);
  const more = {
    apis: Object.assign({}, ...sections.map(({ apis }) => apis)),
    rateLimits: Object.assign({}, ...sections.map(({ rateLimits }) => rateLimits)),
    upstreams: Object.assign({}, ...sections.map(({ upstreams }) => upstreams)),
    routes: sections.flatMap(({ routes }) => routes),
  };
  const own = instance === "a" ? addresses.gatewayA : addresses.gatewayB;
  const at = (address: string) => ({ address: address.split(":")[0]!, port: portOf(address) });
  const canary = (kind: string) => ({ certificate: `canary-${kind}.crt`, key: `canary-${kind}.key` });
  return {
    listen: { ...at(own.listen), certificate: "server.crt", key: "server.key" },
    admin: at(own.admin),
    clients: {
      authorities: [{ certificate: "../pki/client.crt", revocationList: "../pki/client.crl" }],
    },
    canaries: {
      serverAuthority: "../pki/server.crt",
      valid: canary("valid"),
      expired: canary("expired"),
      revoked: canary("revoked"),
    },
    apis: { attestation: { document: DESCRIPTION }, ...more.apis },
    rateLimits: {
      // A station with four readers makes about five requests a card.
      line: { quota: 6000, windowSeconds: 60, burst: 600 },
      batches: { quota: 60, windowSeconds: 60 },
      ...more.rateLimits,
    },
    upstreams: {
      attestation: {
        instances: [addresses.attestationA, addresses.attestationB].map(({ listen, admin }) => ({
          url: `https://${listen}`,
          health: `http://${admin}`,
        })),
        tls: {
          authorities: ["../pki/internal.crt"],
          certificate: "upstream.crt",
          key: "upstream.key",
          serverIdentities: ["urn:recovery-key:attestation:*"],
        },
      },
      ...more.upstreams,
    },
    routes: [
      post("create-batch", "/v1/batches", [BATCH_MANAGERS], "batches"),
      ...["batch-openings", "batch-closings", "batch-reports", "batch-cards", "batch-records", "record-keys"]
        .map((
          name,
        ) => post(name, `/v1/${name}`, [BATCH_MANAGERS], "line")),
      {
        name: "read-batch",
        path: "/v1/batches/{batch}",
        methods: ["GET"],
        identities: [BATCH_MANAGERS, STATIONS],
        rateLimit: "line",
        firewall: { api: "attestation" },
        upstream: "attestation",
      },
      ...["card-keys", "reservations", "attestations", "installations", "closures", "host-certificates"].map((
        name,
      ) => post(name, `/v1/${name}`, [STATIONS], "line")),
      {
        name: "revocations",
        path: "/v1/revocations",
        methods: ["GET"],
        identities: [BATCH_MANAGERS, STATIONS, WALLETS, UPDATES],
        rateLimit: "line",
        firewall: { api: "attestation" },
        upstream: "attestation",
      },
      {
        name: "openapi",
        path: "/openapi.json",
        methods: ["GET"],
        identities: [BATCH_MANAGERS, STATIONS],
        firewall: { api: "attestation" },
        upstream: "attestation",
      },
      ...more.routes,
    ],
  };
}

function attestation(
  instance: "a" | "b",
  addresses: SpineAddresses,
  backends: Backends,
  senders: Senders,
): object {
  const own = instance === "a" ? addresses.attestationA : addresses.attestationB;
  const authority = (name: string) => ({
    authority: `../pki/${name}.crt`,
    revocationList: `../pki/${name}.crl`,
  });
  return {
    name: `attestation-${instance}`,
    listen: own.listen,
    admin: own.admin,
    tls: {
      certificate: "server.crt",
      key: "server.key",
      gateways: authority("internal"),
      senders: authority("client"),
    },
    database: {
      url: backends.databaseUrl,
      ...(backends.databaseTls ? { tls: backends.databaseTls } : {}),
    },
    hsm: backends.hsm,
    senders: [
      {
        name: LOCAL_STATION,
        role: "station",
        signingKey: senders.station.signingKey,
        sealingKey: senders.station.sealingKey,
      },
      { name: LOCAL_BATCH_MANAGER, role: "batch-manager", signingKey: senders.batchManager.signingKey },
    ],
    serials: LOCAL_SERIALS,
    hostCertificates: { enabled: true },
  };
}

/** Configuration of a sender: a station, or whoever manages batches. */
function client(folder: string, addresses: SpineAddresses, own: string, name: string): object {
  return {
    name,
    gateways: [addresses.gatewayA, addresses.gatewayB].map(({ listen }) => `https://${listen}`),
    tls: {
      ca: `${folder}/pki/server.crt`,
      cert: `${folder}/${own}/tls.crt`,
      key: `${folder}/${own}/tls.key`,
    },
    signingKeyFile: `${folder}/${own}/signing.jwk`,
    sealingKeyFile: `${folder}/${own}/sealing.jwk`,
    stateFolder: `${folder}/${own}`,
    operator: "local",
  };
}
