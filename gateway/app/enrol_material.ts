/** What the enrolment process reads from files: certificates, authorities with their lists, canaries. A reload reads it anew. */

import { parseRevocationList } from "shared/protocol/x509/revocation_list.ts";
import { readTrust, type Trust } from "shared/protocol/x509/trust.ts";
import type { CanaryFiles } from "../service/canaries.ts";
import { ISSUED_GROUP } from "../service/enrolment.ts";
import type { RevocationLists } from "../service/revocation_lists.ts";
import type { ListenerSecrets } from "../transport/listener.ts";
import { besideConfig, readConfig, readTextFile } from "./config_file.ts";
import { EnrolConfig } from "./enrol_config.ts";
import { readClientTrust, requireGoodFiles, requirePair } from "./material.ts";

/** Everything that a reload replaces. */
export interface EnrolMaterial {
  readonly config: EnrolConfig;
  readonly secrets: ListenerSecrets;
  readonly bootstrap: Trust;
  readonly canaries: CanaryFiles;
  /** PEM. */
  readonly serverAuthority: string;
}

/** Reads it all, or nothing is taken. @throws {CodedError} `GATEWAY_CONFIG`, `GATEWAY_FILE`, `X509_*`. */
export async function readEnrolMaterial(
  configPath: string,
  issuerPem: string,
  lists: RevocationLists,
): Promise<EnrolMaterial> {
  const config = await readConfig(configPath, EnrolConfig);
  const read = (path: string, what: string) => readTextFile(besideConfig(configPath, path), what);
  const pair = async (files: { certificate: string; key: string }, what: string) => ({
    certificate: await read(files.certificate, `${what} certificate`),
    key: await read(files.key, `${what} key`),
  });
  const clients = await readClientTrust(configPath, config.clients.authorities, lists);
  requireGoodFiles(clients.lists);
  clients.lists.commit();
  const { canaries } = config;
  return {
    config,
    bootstrap: clients.trust,
    secrets: {
      ...requirePair("listener", await pair(config.listen, "listener")),
      clientAuthorities: [...clients.pems, issuerPem],
      minVersion: config.listen.minVersion,
    },
    serverAuthority: await read(canaries.serverAuthority, "server authority"),
    canaries: {
      valid: await pair(canaries.valid, "valid canary"),
      expired: await pair(canaries.expired, "expired canary"),
      revoked: await pair(canaries.revoked, "revoked canary"),
    },
  };
}

/** Bootstrap authorities, and our own with our own list. @param ownList DER. */
export async function enrolTrust(issuerPem: string, ownList: Uint8Array, bootstrap: Trust): Promise<Trust> {
  const reading = parseRevocationList(ownList);
  if (reading.kind === "fault") throw new Error(`Cannot read our own list: ${reading.detail}`);
  const own = await readTrust([{
    certificates: { name: "issuer.certificate", pem: issuerPem },
    revocationLists: [{ name: "our list", list: reading.list }],
    whenStale: "refuse",
    group: ISSUED_GROUP,
  }]);
  return { authorities: [...bootstrap.authorities, ...own.authorities] };
}
