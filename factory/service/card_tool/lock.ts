/** Locking and unlocking an application, a domain with its applications, or the card. */

import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { CARD_LIFE_CYCLE } from "shared/protocol/gp/constants.ts";
import { SET_STATUS_SCOPE, setStatusCommand } from "shared/protocol/gp/set_status.ts";
import { cardCanBeLocked } from "../../domain/card_tool/names.ts";
import { rowsOf } from "../../domain/card_tool/registry.ts";
import type { Begin } from "./content.ts";
import { readRegistry } from "./registry.ts";
import { requireOk, type ToolSession } from "./session.ts";

/** P2 bit that locks; the other bits are the application's own and are left to the card. GPC 2.3.1, 11.10.2.2. */
const LOCK = 0x80;
const UNLOCK = 0x00;

/** What is locked or unlocked. */
export type LockTarget =
  | { readonly kind: "card" }
  | { readonly kind: "application"; readonly aid: Uint8Array; readonly withApplications: boolean };

/** Word for a target. */
export function targetWord(target: LockTarget): string {
  return target.kind === "card" ? "the card" : toHex(target.aid);
}

/** Life cycle word of a target; undefined when it is not in the registry. */
export async function lifeCycleOf(session: ToolSession, target: LockTarget): Promise<string | undefined> {
  const registry = await readRegistry(session);
  if (target.kind === "card") return registry.issuerDomain?.lifeCycle;
  return rowsOf(registry).find((row) => row.aid === toHex(target.aid))?.lifeCycle;
}

/**
 * Locks or unlocks through the open channel.
 * @returns the life cycle before and after, as the card says it.
 * @throws {CodedError} `CARDTOOL_NOT_THERE`, `CARDTOOL_STATE`, `CARDTOOL_REFUSED`.
 */
export async function setLock(
  session: ToolSession,
  target: LockTarget,
  lock: boolean,
  begin: Begin,
): Promise<{ readonly before: string | null; readonly after: string | null }> {
  const registry = await readRegistry(session);
  const what = targetWord(target);
  const verb = lock ? "lock" : "unlock";
  const row = target.kind === "card"
    ? registry.issuerDomain ?? undefined
    : rowsOf(registry).find((one) => one.aid === toHex(target.aid));
  if (!session.dryRun) {
    if (row === undefined) {
      throw new CodedError("CARDTOOL_NOT_THERE", `Cannot ${verb} ${what}: it is not in the card's registry`);
    }
    const isLocked = target.kind === "card"
      ? row.lifeCycleValue === CARD_LIFE_CYCLE.CARD_LOCKED
      : (row.lifeCycleValue & LOCK) !== 0;
    if (target.kind === "card" && lock && !cardCanBeLocked(row.lifeCycleValue)) {
      throw new CodedError("CARDTOOL_STATE", `Cannot lock the card: it is ${row.lifeCycle}, not SECURED`);
    }
    if (isLocked === lock) {
      throw new CodedError("CARDTOOL_STATE", `Cannot ${verb} ${what}: it is ${row.lifeCycle}`);
    }
  }
  begin({
    kind: "set-status",
    what,
    lock,
    aid: target.kind === "card" ? undefined : toHex(target.aid),
  });
  const apdu = target.kind === "card"
    ? setStatusCommand(
      SET_STATUS_SCOPE.CARD,
      lock ? CARD_LIFE_CYCLE.CARD_LOCKED : CARD_LIFE_CYCLE.SECURED,
      undefined,
    )
    : setStatusCommand(
      target.withApplications
        ? SET_STATUS_SCOPE.SECURITY_DOMAIN_AND_APPLICATIONS
        : SET_STATUS_SCOPE.APPLICATION,
      lock ? LOCK : UNLOCK,
      target.aid,
    );
  const step = `${verb} ${what}`;
  requireOk(step, await session.send(step, apdu, { changes: true }));
  const after = session.dryRun ? undefined : await lifeCycleOf(session, target);
  return { before: row?.lifeCycle ?? null, after: after ?? null };
}
