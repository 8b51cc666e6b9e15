/** MANAGE ELF UPGRADE. GPC 2.3, Amendment H; card page, section 8; the table is ../upgrade/machine.ts. */

import { equal } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import {
  encodeUpgradeAnswer,
  type ManageUpgrade,
  parseManageUpgrade,
  UPGRADE_P1,
  type UpgradeP1,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { APPLET_LIFE_CYCLE } from "../applet/volatile.ts";
import type { CardContext } from "../context.ts";
import { APPLICATION_BYTES, freeBytes } from "../memory.ts";
import { findPackage } from "../registry.ts";
import type { DomainState, PackageState } from "../state.ts";
import {
  isUpgradePhase,
  UPGRADE_MOVES,
  UPGRADE_PHASES,
  type UpgradeEvent,
  type UpgradePhase,
} from "../upgrade/machine.ts";
import { PHASE_STEPS, withoutUpgradedPackage, withUpgrade } from "../upgrade/phases.ts";
import { openUpgrade, upgradeStatusOf } from "../upgrade/session.ts";
import { manages } from "./management.ts";

const C_MAC = 0x01;

const EVENTS: Readonly<Record<Exclude<UpgradeP1, typeof UPGRADE_P1.STATUS>, UpgradeEvent>> = {
  [UPGRADE_P1.START]: "start",
  [UPGRADE_P1.RESUME]: "resume",
  [UPGRADE_P1.RECOVERY]: "recovery",
  [UPGRADE_P1.ABORT]: "abort",
};

/** Executes MANAGE ELF UPGRADE at a domain whose session is open. */
export function manageElfUpgrade(
  context: CardContext,
  domain: DomainState,
  command: CommandApdu,
): ResponseApdu {
  if ((context.volatile.channel.level & C_MAC) === 0) return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  let request: ManageUpgrade | undefined;
  try {
    request = parseManageUpgrade(command);
  } catch {
    return response(SW.WRONG_DATA);
  }
  if (request === undefined) return response(SW.INCORRECT_P1P2);
  if (!manages(domain)) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (request.p1 === UPGRADE_P1.STATUS) return sessionAnswer(context);

  const open = openUpgrade(context.state);
  // A session belongs to the domain that opened it, and to its package.
  if (open !== undefined && !equal(open.domain, domain.aid)) return response(SW.CONDITIONS_NOT_SATISFIED);
  const event = EVENTS[request.p1];
  const move = UPGRADE_MOVES[upgradeStatusOf(context.state)][event];
  if (move === undefined) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (open !== undefined && request.packageAid !== undefined && !equal(open.packageAid, request.packageAid)) {
    return response(SW.REFERENCED_DATA_NOT_FOUND);
  }
  if (event === "start") {
    const refused = openSession(context, domain, request.packageAid!);
    if (refused !== undefined) return response(refused);
  }
  if (move.kind === "run") runPhases(context, move.phase);
  else if (move.kind === "discard") {
    context.state = withUpgrade(withoutUpgradedPackage(context.state, open!.packageAid), {
      status: "waiting-for-elf",
      recovery: true,
    });
  } else if (move.kind === "end") context.state = { ...context.state, upgrade: null };
  return sessionAnswer(context);
}

function sessionAnswer(context: CardContext): ResponseApdu {
  const { upgrade } = context.state;
  return response(
    SW.OK,
    encodeUpgradeAnswer(
      upgrade === null ? { status: "none" } : { status: upgrade.status, packageAid: upgrade.packageAid },
    ),
  );
}

/**
 * Opens a session, with nothing done yet. The grant moves from volatile memory into the session: an upgrade that was
 * authorized goes on after a loss of power without the PIN, and the grant cannot be used twice.
 * @returns the status word to refuse with; then nothing has changed.
 */
function openSession(context: CardContext, domain: DomainState, packageAid: Uint8Array): number | undefined {
  const { state, volatile } = context;
  const loaded = findPackage(state, packageAid);
  if (loaded === undefined) return SW.REFERENCED_DATA_NOT_FOUND;
  const used = state.packages.some((one) => one.imports.some((imported) => equal(imported, packageAid)));
  if (used) return SW.CONDITIONS_NOT_SATISFIED;
  const instances = state.instances.filter((one) => equal(one.packageAid, packageAid));
  if (freeBytes(state) < instances.length * APPLICATION_BYTES) return SW.NOT_ENOUGH_MEMORY;
  // The applet itself refuses to give its data: this is the first step of saving.
  const refuses = instances.some(({ aid, recoveryKey }) =>
    recoveryKey?.lifeCycle === APPLET_LIFE_CYCLE.USER_PERSONALIZED &&
    !(volatile.upgradeGrant !== null && equal(volatile.upgradeGrant, aid))
  );
  if (refuses) return SW.SECURITY_STATUS_NOT_SATISFIED;
  volatile.upgradeGrant = null;
  context.state = { ...state, upgrade: newSession(domain, loaded) };
  return undefined;
}

function newSession(domain: DomainState, loaded: PackageState) {
  return {
    status: "interrupted-saving",
    packageAid: loaded.aid,
    domain: domain.aid,
    packageDomain: loaded.domain,
    oldVersion: loaded.version,
    oldSha256: loaded.sha256,
    recovery: false,
    saved: [],
  } as const;
}

/** Runs phases until one that waits. Each is announced in the memory before it begins and is one commit with its effect. */
function runPhases(context: CardContext, first: UpgradePhase): void {
  let phase = first;
  for (;;) {
    const { interrupted, next } = UPGRADE_PHASES[phase];
    context.state = withUpgrade(context.state, { status: interrupted });
    context.commit();
    const outcome = PHASE_STEPS[phase](context.state, context.state.upgrade!);
    if ("failed" in outcome) {
      context.state = withUpgrade(outcome.failed, { status: "restore-failed" });
      return;
    }
    context.state = outcome.state;
    if (!isUpgradePhase(next)) {
      context.state = withUpgrade(context.state, { status: next });
      return;
    }
    phase = next;
  }
}
