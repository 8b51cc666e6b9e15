/** SELECT by AID. GPC 2.3.1, 11.9 and 6.4.2; card page, section 2. */

import { equal } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { volatileAfterSelect } from "./applet/volatile.ts";
import { APPLICATION_INSTALLED, CARD_LIFE_CYCLE, LOCKED_BIT } from "./constants.ts";
import type { CardContext } from "./context.ts";
import { fileControlInformation } from "./domain/security_domain.ts";
import { findSelectable, issuerDomain, type Selectable, selectableAid, selectables } from "./registry.ts";
import { isBeingUpgraded } from "./upgrade/session.ts";

const INS_SELECT = 0xa4;
const P1_BY_NAME = 0x04;
const P2_NEXT = 0x02;
const AID_BYTES_MAX = 16;
/** The card is locked, and this is its issuer domain. GPC 2.3.1, table 11-83. */
const SW_CARD_LOCKED = 0x6283;

/** Whether a command is SELECT by AID, which the card takes before the selected application sees it. */
export function isSelect(command: CommandApdu): boolean {
  return command.cla === 0x00 && command.ins === INS_SELECT && command.p1 === P1_BY_NAME;
}

/** Executes SELECT by full or partial AID; an empty AID names the issuer domain. */
export function select(context: CardContext, command: CommandApdu): ResponseApdu {
  const { state, volatile } = context;
  if (command.p2 !== 0 && command.p2 !== P2_NEXT) return response(SW.INCORRECT_P1P2);
  const wanted = command.data;
  if (wanted.length > AID_BYTES_MAX) return response(SW.WRONG_DATA);
  const isCardLocked = issuerDomain(state).lifeCycle === CARD_LIFE_CYCLE.LOCKED;
  const candidates = wanted.length === 0
    ? [{ kind: "domain", domain: issuerDomain(state) } as const]
    : selectables(state).filter((one) =>
      isSelectable(context, one) && wanted.every((byte, i) => selectableAid(one)[i] === byte)
    );
  const current = candidates.findIndex((one) => equal(selectableAid(one), volatile.selected));
  const found = candidates[command.p2 === P2_NEXT ? current + 1 : 0];
  // GPC 2.3.1, table 11-84: of a locked card only the issuer domain can be selected.
  if (found === undefined && isCardLocked) return response(SW.FUNCTION_NOT_SUPPORTED);
  if (found === undefined) {
    // The applet gets a SELECT that names nothing else, and knows no class 00 (d_errors, section 1).
    const selected = findSelectable(state, volatile.selected);
    return response(selected?.kind === "instance" ? SW.CLA_NOT_SUPPORTED : SW.FILE_NOT_FOUND);
  }
  makeSelected(context, found);
  if (found.kind === "instance") return response(SW.OK);
  return response(
    isCardLocked ? SW_CARD_LOCKED : SW.OK,
    fileControlInformation(found.domain, state.cardData),
  );
}

function isSelectable(context: CardContext, one: Selectable): boolean {
  if (one.kind === "domain" && one.domain === issuerDomain(context.state)) return true;
  if (issuerDomain(context.state).lifeCycle === CARD_LIFE_CYCLE.LOCKED) return false;
  if (one.kind === "instance" && isBeingUpgraded(context.state, one.instance)) return false;
  const { lifeCycle } = one.kind === "domain" ? one.domain : one.instance;
  return lifeCycle !== APPLICATION_INSTALLED && (lifeCycle & LOCKED_BIT) === 0;
}

/** Deselects what was selected, with everything volatile that belonged to it, and selects anew. */
export function makeSelected(context: CardContext, selected: Selectable): void {
  const { volatile } = context;
  volatile.channel.reset();
  volatile.selected = selectableAid(selected);
  volatile.series = null;
  volatile.registryPosition = null;
  volatile.applet = volatileAfterSelect(selected.kind === "instance" ? selected.instance.recoveryKey : null);
  // SELECT of a domain keeps an upgrade grant, SELECT of the applet drops it.
  if (selected.kind === "instance") volatile.upgradeGrant = null;
}
