/** What a domain may see of the registry: everything, or what belongs to it. GPC 2.3.1, 11.4 and table 11-7. */

import { equal } from "shared/base/bytes.ts";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { belongsTo, isPrivileged, issuerDomain } from "../registry.ts";
import type { CardState, DomainState, InstanceState, PackageState } from "../state.ts";

/** The registry as one domain sees it. */
export interface RegistryView {
  readonly issuer: readonly DomainState[];
  /** Supplementary domains, then instances. */
  readonly applications: readonly (DomainState | InstanceState)[];
  readonly packages: readonly PackageState[];
}

/** The entries that a domain may list. */
export function visibleEntries(state: CardState, domain: DomainState): RegistryView {
  const issuer = issuerDomain(state);
  const all = equal(domain.aid, issuer.aid) || isPrivileged(domain, PRIVILEGE.GLOBAL_REGISTRY);
  const visible = (entry: { readonly aid: Uint8Array; readonly domain: Uint8Array }) =>
    all || equal(entry.aid, domain.aid) || belongsTo(state, entry, domain.aid);
  return {
    issuer: all ? [issuer] : [],
    applications: [...state.domains.slice(1), ...state.instances].filter(visible),
    packages: state.packages.filter(visible),
  };
}
