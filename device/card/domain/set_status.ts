/** SET STATUS. GPC 2.3.1, 11.10; life cycle of the card 5.1, of applications 5.3, of domains 5.3.2. */

import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { equal } from "shared/base/bytes.ts";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { SET_STATUS_SCOPE } from "shared/protocol/gp/set_status.ts";
import { APPLICATION_SELECTABLE, CARD_LIFE_CYCLE, DOMAIN_PERSONALIZED, LOCKED_BIT } from "../constants.ts";
import type { CardContext } from "../context.ts";
import {
  belongsTo,
  findDomain,
  findInstance,
  isPrivileged,
  issuerDomain,
  withDomain,
  withInstance,
} from "../registry.ts";
import type { CardState, DomainState } from "../state.ts";

/** Bits that say "selectable" in every life cycle of an application that is. Table 11-4. */
const SELECTABLE_BITS = 0x87;

const { OP_READY, INITIALIZED, SECURED, LOCKED, TERMINATED } = CARD_LIFE_CYCLE;

/** Which life cycle of the card may follow which. GPC 2.3.1, figure 5-1. */
export const CARD_TRANSITIONS: ReadonlyMap<number, readonly number[]> = new Map([
  [OP_READY, [INITIALIZED, TERMINATED]],
  [INITIALIZED, [SECURED, TERMINATED]],
  [SECURED, [LOCKED, TERMINATED]],
  [LOCKED, [SECURED, TERMINATED]],
  [TERMINATED, []],
]);

/** What a supplementary domain needs to bring the card into a state; the ISD may bring it into each. Table 11-7. */
const NEEDED: ReadonlyMap<number, number> = new Map([
  [LOCKED, PRIVILEGE.CARD_LOCK],
  [TERMINATED, PRIVILEGE.CARD_TERMINATE],
]);

/** Executes SET STATUS. A transition that the figures do not have is `6985`. */
export function setStatus(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { state } = context;
  const { p1: scope, p2: wanted, data: aid } = command;
  if (scope === SET_STATUS_SCOPE.CARD) return setCardStatus(context, domain, wanted);
  const single = scope === SET_STATUS_SCOPE.APPLICATION;
  if (!single && scope !== SET_STATUS_SCOPE.SECURITY_DOMAIN_AND_APPLICATIONS) {
    return response(SW.INCORRECT_P1P2);
  }
  const named = findDomain(supplementary(state), aid) ??
    (single ? findInstance(state, aid) : undefined);
  if (named === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  const may = isPrivileged(domain, PRIVILEGE.GLOBAL_LOCK) || equal(named.aid, domain.aid) ||
    belongsTo(state, named, domain.aid);
  if (!may) return response(SW.CONDITIONS_NOT_SATISFIED);
  const members = single
    ? [named]
    : [named, ...[...state.domains.slice(1), ...state.instances].filter((one) => belongsTo(state, one, aid))];
  let changed = state;
  for (const member of members) {
    const isDomain = "keySets" in member;
    const next = nextLifeCycle(member.lifeCycle, wanted, isDomain, single);
    if (next === undefined) return response(SW.CONDITIONS_NOT_SATISFIED);
    changed = "keySets" in member
      ? withDomain(changed, { ...member, lifeCycle: next })
      : withInstance(changed, { ...member, lifeCycle: next });
  }
  context.state = changed;
  return response(SW.OK);
}

/** The state without the ISD, whose life cycle is the card's. */
function supplementary(state: CardState): CardState {
  return { ...state, domains: state.domains.slice(1) };
}

function setCardStatus(context: CardContext, domain: DomainState, wanted: number): ResponseApdu {
  const { state } = context;
  const issuer = issuerDomain(state);
  const needed = NEEDED.get(wanted);
  const may = equal(domain.aid, issuer.aid) || (needed !== undefined && isPrivileged(domain, needed));
  if (!may || !(CARD_TRANSITIONS.get(issuer.lifeCycle) ?? []).includes(wanted)) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  context.state = withDomain(state, { ...issuer, lifeCycle: wanted });
  return response(SW.OK);
}

/**
 * The life cycle after SET STATUS of one entry. Locking keeps the other bits, so that unlocking brings them back; an
 * application may move among its own states, a domain only from SELECTABLE to PERSONALIZED. Figures 5-2 and 5-3.
 * @param alone not one of a group, of which some may be locked already.
 */
function nextLifeCycle(now: number, wanted: number, isDomain: boolean, alone: boolean): number | undefined {
  const isLocked = (now & LOCKED_BIT) !== 0;
  if ((wanted & LOCKED_BIT) !== 0) return isLocked && alone ? undefined : now | LOCKED_BIT;
  if (isLocked) return now & ~LOCKED_BIT;
  if (!alone) return now;
  const selectable = (now & SELECTABLE_BITS) === APPLICATION_SELECTABLE;
  if (!selectable || (wanted & SELECTABLE_BITS) !== APPLICATION_SELECTABLE || wanted === now) {
    return undefined;
  }
  if (!isDomain) return wanted;
  return wanted === DOMAIN_PERSONALIZED ? wanted : undefined;
}
