/**
 * The certificates of a local spine. Three authorities, so that no certificate opens a door that it was not made for:
 * clients (stations, batch managers), servers (gateways towards clients), internal (gateways towards services).
 * The authorities' keys stay in the spine's folder: this is a development PKI; in production they are elsewhere.
 */

import {
  type Authority,
  DAY_MS,
  makeAuthority,
  privateKeyPem,
  readAuthority,
} from "shared/protocol/x509/authority.ts";
import { issue, type IssueOptions } from "shared/protocol/x509/certificate.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";
import { exists, writePrivate } from "../paths.ts";

const AUTHORITIES = ["client", "server", "internal"] as const;
type AuthorityName = (typeof AUTHORITIES)[number];

/** A leaf certificate: which authority signs it, and where it goes (`FILE.crt`, `FILE.key`). */
export interface Leaf {
  readonly authority: AuthorityName;
  readonly file: string;
  readonly name: string;
  readonly options: Omit<IssueOptions, "now" | "commonName">;
}

/** Names of a server on this machine. */
export const LOOPBACK = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1", "::1"] };
/** An identity, as certificates name it. */
export const urn = (kind: string, name: string) => `urn:recovery-key:${kind}:${name}`;

function leaves(now: number): Leaf[] {
  const both = ["a", "b"] as const;
  return [
    ...both.map((name): Leaf => ({
      authority: "server",
      file: `gateway-${name}/server`,
      name: `gateway ${name}`,
      options: { ...LOOPBACK, uris: [urn("gateway", name)], usages: ["server"] },
    })),
    ...both.map((name): Leaf => ({
      authority: "internal",
      file: `gateway-${name}/upstream`,
      name: `gateway ${name}`,
      options: { uris: [urn("gateway", name)], usages: ["client"] },
    })),
    ...both.map((name): Leaf => ({
      authority: "internal",
      file: `attestation-${name}/server`,
      name: `attestation ${name}`,
      options: { ...LOOPBACK, uris: [urn("attestation", name)], usages: ["server"] },
    })),
    ...both.flatMap((name): Leaf[] => [
      canary(name, "valid", {}),
      canary(name, "expired", { notBefore: now - 3 * DAY_MS, notAfter: now - DAY_MS }),
      canary(name, "revoked", {}),
    ]),
    {
      authority: "client",
      file: "station/tls",
      name: "station line-1",
      options: { uris: [urn("station", "line-1")], usages: ["client"] },
    },
    {
      authority: "client",
      file: "batch-manager/tls",
      name: "batch manager local",
      options: { uris: [urn("batch-manager", "local")], usages: ["client"] },
    },
  ];
}

function canary(gateway: string, kind: string, options: Partial<IssueOptions>): Leaf {
  return {
    authority: "client",
    file: `gateway-${gateway}/canary-${kind}`,
    name: `canary ${kind} of gateway ${gateway}`,
    options: { uris: [urn("canary", kind)], usages: ["client"], ...options },
  };
}

/**
 * Makes or keeps the three authorities, issues every leaf anew and publishes fresh revocation lists, so that a spine that
 * was not started for a year starts.
 * @param folder The spine's folder. Authorities are in pki/NAME.crt, lists in pki/NAME.crl.
 * @param more leaves of services that not every spine has.
 */
export async function provisionPki(folder: string, now: number, more: readonly Leaf[] = []): Promise<void> {
  const authorities = {} as Record<AuthorityName, Authority>;
  for (const name of AUTHORITIES) authorities[name] = await authority(folder, name, now);
  const revoked: Record<AuthorityName, string[]> = { client: [], server: [], internal: [] };
  for (const leaf of [...leaves(now), ...more]) {
    const issued = await issue(authorities[leaf.authority], { now, commonName: leaf.name, ...leaf.options });
    await Deno.writeTextFile(`${folder}/${leaf.file}.crt`, issued.certificatePem);
    await writePrivate(`${folder}/${leaf.file}.key`, issued.privateKeyPem);
    if (leaf.file.endsWith("/canary-revoked")) revoked[leaf.authority].push(issued.serialNumber);
  }
  for (const name of AUTHORITIES) {
    await Deno.writeTextFile(
      `${folder}/pki/${name}.crl`,
      await makeCrl(authorities[name], { now, revoked: revoked[name] }),
    );
  }
}

async function authority(folder: string, name: AuthorityName, now: number): Promise<Authority> {
  const certificate = `${folder}/pki/${name}.crt`;
  const key = `${folder}/pki/${name}.key`;
  if (await exists(key)) {
    return await readAuthority(await Deno.readTextFile(certificate), await Deno.readTextFile(key));
  }
  const made = await makeAuthority(`Recovery Key local ${name} authority`, { now });
  await Deno.writeTextFile(certificate, made.certificatePem);
  await writePrivate(key, await privateKeyPem(made.keys.privateKey));
  return made;
}
