/** What a domain may do to the card's content. GPC 2.3.1, 9.1 and table 11-7. */

import { equal } from "shared/base/bytes.ts";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { LOCKED_BIT } from "../constants.ts";
import { isPrivileged, issuerDomain } from "../registry.ts";
import type { CardState, DomainState } from "../state.ts";

/**
 * Whether a domain loads, installs, extradites and deletes on its own authority. Delegated Management would need
 * tokens, and this card has no token key: such a domain is refused like one without the privilege.
 */
export function manages(domain: DomainState): boolean {
  return isPrivileged(domain, PRIVILEGE.AUTHORIZED_MANAGEMENT);
}

/** Whether a domain is locked. The ISD's life cycle is the card's, whose bits mean something else. */
export function isLockedDomain(state: CardState, domain: DomainState): boolean {
  return !equal(domain.aid, issuerDomain(state).aid) && (domain.lifeCycle & LOCKED_BIT) !== 0;
}
