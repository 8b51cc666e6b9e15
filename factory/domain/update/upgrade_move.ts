/** What the vault does next with a card: a table over the card's upgrade status and what was authorized. Pure. */

import type { UpgradeStatusName } from "shared/protocol/gp/manage_elf_upgrade.ts";

/**
 * - `begin`: the card proved itself and its holder gave the PIN: the upgrade may be opened.
 * - `resume`: it was opened earlier; it may be gone on with, and no new one opened.
 * - `recover`: as `resume`, with the card's old package.
 */
export const UPGRADE_MODES = ["begin", "resume", "recover"] as const;
/** One of {@link UPGRADE_MODES}. */
export type UpgradeMode = (typeof UPGRADE_MODES)[number];

/**
 * - `start`, `go-on`, `take-back`: MANAGE ELF UPGRADE start, resume, recovery.
 * - `load`: the whole package from block 0.
 * - `updated`, `recovered`, `nothing`: the end.
 * - `stuck`: the new package does not take the data; only the old package helps.
 */
export type UpgradeMove =
  | "start"
  | "go-on"
  | "take-back"
  | "load"
  | "updated"
  | "recovered"
  | "nothing"
  | "stuck";

const INTERRUPTED = {
  "interrupted-saving": "go-on",
  "interrupted-cleanup": "go-on",
  "interrupted-delete": "go-on",
  "interrupted-install": "go-on",
  "interrupted-restore": "go-on",
  "interrupted-consolidate": "go-on",
} as const satisfies Partial<Record<UpgradeStatusName, UpgradeMove>>;

/**
 * By mode and status, as the card tells it when a session begins. `completed` there is an earlier upgrade's end: a new one may
 * be opened over it.
 */
export const FIRST_MOVE: Readonly<Record<UpgradeMode, Readonly<Record<UpgradeStatusName, UpgradeMove>>>> = {
  begin: {
    ...INTERRUPTED,
    "none": "start",
    "completed": "start",
    "waiting-for-elf": "load",
    "waiting-for-restore": "go-on",
    "restore-failed": "stuck",
  },
  resume: {
    ...INTERRUPTED,
    "none": "nothing",
    "completed": "updated",
    "waiting-for-elf": "load",
    "waiting-for-restore": "go-on",
    "restore-failed": "stuck",
  },
  recover: {
    ...INTERRUPTED,
    "none": "nothing",
    "completed": "recovered",
    "waiting-for-elf": "take-back",
    "waiting-for-restore": "take-back",
    "restore-failed": "take-back",
    "interrupted-install": "take-back",
    "interrupted-restore": "take-back",
  },
};

/** What a session has done so far. */
export interface UpgradeSoFar {
  /** Nothing: the status is the one that the card came with. */
  readonly first: boolean;
  /** The card was told to take the new package back. */
  readonly tookBack: boolean;
}

/**
 * The move after a status. What differs from {@link FIRST_MOVE} later: `completed` is this upgrade's end, a saving that ended
 * with nothing was refused, and once the new package is taken back, the old one is loaded and restored like any other.
 */
export function nextMove(mode: UpgradeMode, status: UpgradeStatusName, so: UpgradeSoFar): UpgradeMove {
  if (so.first) return FIRST_MOVE[mode][status];
  if (status === "completed") return mode === "recover" ? "recovered" : "updated";
  if (status === "none") return "nothing";
  if (mode === "recover" && !so.tookBack) return FIRST_MOVE.recover[status];
  if (status === "restore-failed") return "stuck";
  return status === "waiting-for-elf" ? "load" : "go-on";
}
