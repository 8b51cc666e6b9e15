/** Finding and replacing what the card holds, by AID. GPC 2.3.1, chapter 6 (OPEN and registry). */

import { equal } from "shared/base/bytes.ts";
import { hasPrivilege } from "shared/protocol/gp/constants.ts";
import { decodePrivileges } from "shared/protocol/gp/privileges.ts";
import type { CardState, DomainState, InstanceState, KeySetState, PackageState } from "./state.ts";

/** What can be selected. */
export type Selectable =
  | { readonly kind: "domain"; readonly domain: DomainState }
  | { readonly kind: "instance"; readonly instance: InstanceState };

/** The issuer domain. */
export function issuerDomain(state: CardState): DomainState {
  return state.domains[0]!;
}

/** The domain with an AID. */
export function findDomain(state: CardState, aid: Uint8Array): DomainState | undefined {
  return state.domains.find((domain) => equal(domain.aid, aid));
}

/** The instance with an AID. */
export function findInstance(state: CardState, aid: Uint8Array): InstanceState | undefined {
  return state.instances.find((instance) => equal(instance.aid, aid));
}

/** The package with an AID. */
export function findPackage(state: CardState, aid: Uint8Array): PackageState | undefined {
  return state.packages.find((loaded) => equal(loaded.aid, aid));
}

/** Whether anything on the card has this AID. */
export function isAidTaken(state: CardState, aid: Uint8Array): boolean {
  return findDomain(state, aid) !== undefined || findInstance(state, aid) !== undefined ||
    findPackage(state, aid) !== undefined;
}

/** Everything that can be selected, in the order in which partial AIDs match. */
export function selectables(state: CardState): Selectable[] {
  return [
    ...state.domains.map((domain): Selectable => ({ kind: "domain", domain })),
    ...state.instances.map((instance): Selectable => ({ kind: "instance", instance })),
  ];
}

/** AID of a selectable. */
export function selectableAid(selectable: Selectable): Uint8Array {
  return selectable.kind === "domain" ? selectable.domain.aid : selectable.instance.aid;
}

/** The selectable with exactly this AID. */
export function findSelectable(state: CardState, aid: Uint8Array): Selectable | undefined {
  return selectables(state).find((selectable) => equal(selectableAid(selectable), aid));
}

/** Whether something on the card has a privilege (`PRIVILEGE`). */
export function isPrivileged(entry: { readonly privileges: Uint8Array }, privilege: number): boolean {
  return hasPrivilege(decodePrivileges(entry.privileges), privilege);
}

/** Whether a domain, instance or package belongs to a domain, directly or through others. GPC 2.3.1, 7.2. */
export function belongsTo(
  state: CardState,
  entry: { readonly aid: Uint8Array; readonly domain: Uint8Array },
  ancestor: Uint8Array,
): boolean {
  let at = entry;
  // Every step goes to another domain, so there are at most as many as domains.
  for (let step = 0; step <= state.domains.length; step++) {
    if (equal(at.domain, ancestor)) return true;
    const parent = findDomain(state, at.domain);
    if (parent === undefined || equal(parent.aid, at.aid)) return false;
    at = parent;
  }
  return false;
}

/** A key set that can open a channel: three keys of one length. */
export interface ChannelKeySet extends KeySetState {
  readonly enc: Uint8Array;
  readonly mac: Uint8Array;
  readonly dek: Uint8Array;
}

/** Whether a key set is whole. */
export function isWhole(keys: KeySetState): keys is ChannelKeySet {
  return keys.enc !== null && keys.mac !== null && keys.dek !== null && keys.mac.length === keys.enc.length &&
    keys.dek.length === keys.enc.length;
}

/**
 * The domain whose keys open a channel to an application: its own, or the next one above that has keys.
 * GPC 2.3.1, 7.3: a domain without keys uses those of the domain that it belongs to.
 */
export function keyDomain(state: CardState, selected: Selectable): DomainState {
  let domain = selected.kind === "domain" ? selected.domain : findDomain(state, selected.instance.domain);
  for (let step = 0; step < state.domains.length && domain !== undefined; step++) {
    if (domain.keySets.length > 0) return domain;
    domain = findDomain(state, domain.domain);
  }
  return issuerDomain(state);
}

/** A whole key set by version; version 0 names the first. */
export function findKeySet(domain: DomainState, version: number): ChannelKeySet | undefined {
  const whole = domain.keySets.filter(isWhole);
  return version === 0 ? whole[0] : whole.find((keys) => keys.version === version);
}

/** State with one domain replaced. */
export function withDomain(state: CardState, changed: DomainState): CardState {
  return {
    ...state,
    domains: state.domains.map((domain) => equal(domain.aid, changed.aid) ? changed : domain),
  };
}

/** State with one key set replaced. */
export function withKeySet(state: CardState, domain: DomainState, changed: KeySetState): CardState {
  return withDomain(state, {
    ...domain,
    keySets: domain.keySets.map((keys) => keys.version === changed.version ? changed : keys),
  });
}

/** State with one instance replaced. */
export function withInstance(state: CardState, changed: InstanceState): CardState {
  return {
    ...state,
    instances: state.instances.map((instance) => equal(instance.aid, changed.aid) ? changed : instance),
  };
}

/** State with one package replaced. */
export function withPackage(state: CardState, changed: PackageState): CardState {
  return { ...state, packages: state.packages.map((one) => equal(one.aid, changed.aid) ? changed : one) };
}
