/** SELECT by AID. GPC 2.3.1, 11.9 and 6.4.2; card page, section 2. */

import { equal } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { volatileAfterSelect } from "./applet/volatile.ts";
import { APPLICATION_INSTALLED, CARD_LIFE_CYCLE } from "./constants.ts";
import type { CardContext } from "./context.ts";
import { fileControlInformation } from "./domain/security_domain.ts";
import { findSelectable, issuerDomain, type Selectable, selectableAid, selectables } from "./registry.ts";

const INS_SELECT = 0xa4;
const P1_BY_NAME = 0x04;
const P2_NEXT = 0x02;
const LOCK = 0x80;

/** Whether a command is SELECT by AID, which the card takes before the selected application sees it. */
export function isSelect(command: CommandApdu): boolean {
  return command.cla === 0x00 && command.ins === INS_SELECT && command.p1 === P1_BY_NAME;
}

/** Executes SELECT by full or partial AID; an empty AID names the issuer domain. */
export function select(context: CardContext, command: CommandApdu): ResponseApdu {
  const { state, volatile } = context;
  if (command.p2 !== 0 && command.p2 !== P2_NEXT) return response(SW.INCORRECT_P1P2);
  const wanted = command.data;
  const candidates = wanted.length === 0
    ? [{ kind: "domain", domain: issuerDomain(state) } as const]
    : selectables(state).filter((one) =>
      isSelectable(context, one) && wanted.every((byte, i) => selectableAid(one)[i] === byte)
    );
  const current = candidates.findIndex((one) => equal(selectableAid(one), volatile.selected));
  const found = candidates[command.p2 === P2_NEXT ? current + 1 : 0];
  if (found === undefined) {
    // The applet gets a SELECT that names nothing else, and knows no class 00 (d_errors, section 1).
    const selected = findSelectable(state, volatile.selected);
    return response(selected?.kind === "instance" ? SW.CLA_NOT_SUPPORTED : SW.FILE_NOT_FOUND);
  }
  makeSelected(context, found);
  if (found.kind === "instance") return response(SW.OK);
  return response(SW.OK, fileControlInformation(found.domain, state.cardData));
}

function isSelectable(context: CardContext, one: Selectable): boolean {
  if (one.kind === "domain" && one.domain === issuerDomain(context.state)) return true;
  if (issuerDomain(context.state).lifeCycle === CARD_LIFE_CYCLE.LOCKED) return false;
  const { lifeCycle } = one.kind === "domain" ? one.domain : one.instance;
  return lifeCycle !== APPLICATION_INSTALLED && (lifeCycle & LOCK) === 0;
}

/** Deselects what was selected, with everything volatile that belonged to it, and selects anew. */
export function makeSelected(context: CardContext, selected: Selectable): void {
  const { volatile } = context;
  volatile.channel.reset();
  volatile.selected = selectableAid(selected);
  volatile.personalizing = null;
  volatile.load = null;
  volatile.registryPosition = { scope: 0, next: 0 };
  volatile.applet = volatileAfterSelect(selected.kind === "instance" ? selected.instance.recoveryKey : null);
  // SELECT of a domain keeps an upgrade grant, SELECT of the applet drops it.
  if (selected.kind === "instance") volatile.upgradeGrant = null;
}
