/**
 * The upgrade session as a table: what each status allows, and which phase follows which. GPC 2.3, Amendment H; card
 * page, section 8. Whatever a status does not name is refused with `6985` and changes nothing.
 */

import type { UpgradeStatusName } from "shared/protocol/gp/manage_elf_upgrade.ts";

/** What the card does by itself between two commits of its memory. */
export type UpgradePhase = "saving" | "cleanup" | "delete" | "install" | "restore" | "consolidate";

/** What comes from outside: the forms of MANAGE ELF UPGRADE, and INSTALL [for load] with LOAD. */
export type UpgradeEvent = "start" | "resume" | "recovery" | "abort" | "load";

/** What an event does. */
export type UpgradeMove =
  /** Runs this phase, and those behind it, up to a status that waits. */
  | { readonly kind: "run"; readonly phase: UpgradePhase }
  /** Takes the new package away and waits again, the old package being allowed too. */
  | { readonly kind: "discard" }
  /** Forgets the session: nothing was deleted. */
  | { readonly kind: "end" }
  /** Accepts a package for the session. */
  | { readonly kind: "load" };

const run = (phase: UpgradePhase): UpgradeMove => ({ kind: "run", phase });
const DISCARD: UpgradeMove = { kind: "discard" };
const END: UpgradeMove = { kind: "end" };
const LOAD: UpgradeMove = { kind: "load" };

/** Status x event. */
export const UPGRADE_MOVES: Readonly<
  Record<UpgradeStatusName, Readonly<Partial<Record<UpgradeEvent, UpgradeMove>>>>
> = {
  "none": { start: run("saving") },
  "completed": { start: run("saving") },
  "interrupted-saving": { resume: run("saving"), abort: END },
  "interrupted-cleanup": { resume: run("cleanup"), abort: END },
  // A deletion that has begun is not taken back: on a chip a part of the package may be gone.
  "interrupted-delete": { resume: run("delete") },
  "waiting-for-elf": { load: LOAD, recovery: DISCARD },
  "waiting-for-restore": { resume: run("install"), recovery: DISCARD },
  "restore-failed": { resume: run("install"), recovery: DISCARD },
  "interrupted-install": { resume: run("install"), recovery: DISCARD },
  "interrupted-restore": { resume: run("restore"), recovery: DISCARD },
  // The data are back in place: there is only forward.
  "interrupted-consolidate": { resume: run("consolidate") },
};

/** Each phase: the status that a loss of power leaves while it runs, and what follows when it is done. */
export const UPGRADE_PHASES: Readonly<
  Record<
    UpgradePhase,
    { readonly interrupted: UpgradeStatusName; readonly next: UpgradePhase | UpgradeStatusName }
  >
> = {
  saving: { interrupted: "interrupted-saving", next: "cleanup" },
  cleanup: { interrupted: "interrupted-cleanup", next: "delete" },
  delete: { interrupted: "interrupted-delete", next: "waiting-for-elf" },
  install: { interrupted: "interrupted-install", next: "restore" },
  restore: { interrupted: "interrupted-restore", next: "consolidate" },
  consolidate: { interrupted: "interrupted-consolidate", next: "completed" },
};

/** Whether something is a phase, rather than a status that waits for the host. */
export function isUpgradePhase(next: UpgradePhase | UpgradeStatusName): next is UpgradePhase {
  return next in UPGRADE_PHASES;
}
