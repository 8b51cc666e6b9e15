/** Finding and replacing what the card holds, by AID. GPC 2.3.1, chapter 6 (OPEN and registry). */

import { equal } from "shared/base/bytes.ts";
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

/**
 * The domain whose keys open a channel to an application: its own, or the ISD's when it has none.
 * GPC 2.3.1, 7.3: a domain without keys uses those of the domain that it belongs to.
 */
export function keyDomain(state: CardState, selected: Selectable): DomainState {
  const domain = selected.kind === "domain" ? selected.domain : findDomain(state, selected.instance.domain);
  return domain !== undefined && domain.keySets.length > 0 ? domain : issuerDomain(state);
}

/** A key set by version; version 0 names the first. */
export function findKeySet(domain: DomainState, version: number): KeySetState | undefined {
  return version === 0 ? domain.keySets[0] : domain.keySets.find((keys) => keys.version === version);
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
