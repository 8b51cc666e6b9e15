/** What an open upgrade session forbids to everything else. Amendment H; card page, section 8. */

import { equal } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { isUpgradeOpen, type UpgradeStatusName } from "shared/protocol/gp/manage_elf_upgrade.ts";
import { INSTALL_P1 } from "shared/protocol/gp/install.ts";
import { INS_DELETE, INS_INSTALL, INS_SET_STATUS } from "shared/protocol/gp/constants.ts";
import { SET_STATUS_SCOPE } from "shared/protocol/gp/set_status.ts";
import type { CardState } from "../state.ts";
import type { UpgradeState } from "./phases.ts";

/** Where the card's session is. */
export function upgradeStatusOf(state: CardState): UpgradeStatusName {
  return state.upgrade?.status ?? "none";
}

/** The session, while it is open. */
export function openUpgrade(state: CardState): UpgradeState | undefined {
  const { upgrade } = state;
  return upgrade !== null && isUpgradeOpen(upgrade.status) ? upgrade : undefined;
}

/**
 * Whether an application is being upgraded: from the first commit of the session to its last it cannot be selected.
 * Otherwise a PIN could be tried, or the seed erased, after its data were saved, and come back with the restore.
 */
export function isBeingUpgraded(state: CardState, instance: { readonly packageAid: Uint8Array }): boolean {
  const open = openUpgrade(state);
  return open !== undefined && equal(open.packageAid, instance.packageAid);
}

/**
 * Whether a domain's command would change card content under an open session (`6985`): INSTALL but for the load, DELETE,
 * and SET STATUS of anything but the card itself.
 */
export function isHeldByUpgrade(state: CardState, command: CommandApdu): boolean {
  if (openUpgrade(state) === undefined) return false;
  switch (command.ins) {
    case INS_DELETE:
      return true;
    case INS_INSTALL:
      return command.p1 !== INSTALL_P1.LOAD;
    case INS_SET_STATUS:
      return command.p1 !== SET_STATUS_SCOPE.CARD;
    default:
      return false;
  }
}
