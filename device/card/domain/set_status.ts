/** SET STATUS. GPC 2.3.1, 11.10; life cycle of the card 5.1, of applications 5.3. */

import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { equal } from "shared/base/bytes.ts";
import { APPLICATION_SELECTABLE, CARD_LIFE_CYCLE } from "../constants.ts";
import type { CardContext } from "../context.ts";
import { findInstance, issuerDomain, withDomain, withInstance } from "../registry.ts";
import type { DomainState } from "../state.ts";

const SCOPE_ISSUER = 0x80;
const SCOPE_APPLICATION = 0x40;
const LOCK = 0x80;

const { OP_READY, INITIALIZED, SECURED, LOCKED, TERMINATED } = CARD_LIFE_CYCLE;

/** Which life cycle of the card may follow which. GPC 2.3.1, figure 5-1. */
const CARD_TRANSITIONS: ReadonlyMap<number, readonly number[]> = new Map([
  [OP_READY, [INITIALIZED, TERMINATED]],
  [INITIALIZED, [SECURED, TERMINATED]],
  [SECURED, [LOCKED, TERMINATED]],
  [LOCKED, [SECURED, TERMINATED]],
  [TERMINATED, []],
]);

/** Executes SET STATUS at the issuer domain. */
export function setStatus(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { state } = context;
  const issuer = issuerDomain(state);
  if (!equal(domain.aid, issuer.aid)) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (command.p1 === SCOPE_ISSUER) {
    if (!(CARD_TRANSITIONS.get(issuer.lifeCycle) ?? []).includes(command.p2)) {
      return response(SW.CONDITIONS_NOT_SATISFIED);
    }
    context.state = withDomain(state, { ...issuer, lifeCycle: command.p2 });
    return response(SW.OK);
  }
  if (command.p1 !== SCOPE_APPLICATION) return response(SW.INCORRECT_P1P2);
  const instance = findInstance(state, command.data);
  if (instance === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if ((instance.lifeCycle & ~LOCK) !== APPLICATION_SELECTABLE) return response(SW.CONDITIONS_NOT_SATISFIED);
  context.state = withInstance(state, {
    ...instance,
    lifeCycle: (instance.lifeCycle & ~LOCK) | (command.p2 & LOCK),
  });
  return response(SW.OK);
}
