/** The card's registry for people and programs: hex, words, names. */

import { toHex } from "shared/base/bytes.ts";
import { hasPrivilege, PRIVILEGE } from "shared/protocol/gp/constants.ts";
import type { RegistryEntry } from "shared/protocol/gp/get_status.ts";
import { type EntryKind, lifeCycleWord, privilegeNames, versionWord } from "./names.ts";

/** One entry. */
export interface RegistryRow {
  readonly kind: EntryKind;
  readonly aid: string;
  readonly lifeCycle: string;
  /** The byte itself. */
  readonly lifeCycleValue: number;
  readonly privileges: readonly string[];
  /** Package of an instance, where the card tells. */
  readonly package: string | null;
  /** Of a package, where the card tells. */
  readonly version: string | null;
  readonly modules: readonly string[];
  /** Security domain that it belongs to, where the card tells. */
  readonly domain: string | null;
}

/** The whole registry. */
export interface Registry {
  readonly issuerDomain: RegistryRow | null;
  readonly domains: readonly RegistryRow[];
  readonly applications: readonly RegistryRow[];
  readonly packages: readonly RegistryRow[];
}

function row(kind: EntryKind, entry: RegistryEntry): RegistryRow {
  return {
    kind,
    aid: toHex(entry.aid),
    lifeCycle: lifeCycleWord(kind, entry.lifeCycle),
    lifeCycleValue: entry.lifeCycle,
    privileges: privilegeNames(entry.privileges ?? 0),
    package: entry.packageAid === undefined ? null : toHex(entry.packageAid),
    version: versionWord(entry.version),
    modules: (entry.moduleAids ?? []).map(toHex),
    domain: entry.securityDomainAid === undefined ? null : toHex(entry.securityDomainAid),
  };
}

/** Sorts entries into domains and applications by their privileges. */
export function registryOf(
  answers: {
    readonly issuer: readonly RegistryEntry[];
    readonly applications: readonly RegistryEntry[];
    readonly packages: readonly RegistryEntry[];
  },
): Registry {
  const isDomain = (entry: RegistryEntry) => hasPrivilege(entry.privileges ?? 0, PRIVILEGE.SECURITY_DOMAIN);
  return {
    issuerDomain: answers.issuer[0] === undefined ? null : row("issuer-domain", answers.issuer[0]),
    domains: answers.applications.filter(isDomain).map((entry) => row("domain", entry)),
    applications: answers.applications.filter((entry) => !isDomain(entry)).map((entry) =>
      row("application", entry)
    ),
    packages: answers.packages.map((entry) => row("package", entry)),
  };
}

/** Every entry, the issuer domain first. */
export function rowsOf(registry: Registry): RegistryRow[] {
  return [
    ...(registry.issuerDomain === null ? [] : [registry.issuerDomain]),
    ...registry.domains,
    ...registry.applications,
    ...registry.packages,
  ];
}

/** AIDs of the applications and domains that come from a package, where the card tells. */
export function instancesOf(registry: Registry, packageAid: string): string[] {
  return [...registry.domains, ...registry.applications].filter((row) => row.package === packageAid)
    .map((row) => row.aid);
}
