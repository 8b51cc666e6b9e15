/**
 * Every command of a package's upgrade before it is wrapped, from the package alone. The vault wraps these; the wallet compares
 * what it is given with these, so both build them here. Spec/card.md, section 8.
 */

import type { CommandApdu } from "../apdu/command.ts";
import { installForLoad } from "./install.ts";
import { type DapBlock, loadBlocks } from "./load.ts";
import { recoverUpgrade, resumeUpgrade, startUpgrade, upgradeStatus } from "./manage_elf_upgrade.ts";

/** Bytes of load file in one LOAD: 255 less the C-MAC (8). */
export const UPGRADE_BLOCK_BYTES = 247;

/** A verified package. */
export interface UpgradePackage {
  readonly packageAid: Uint8Array;
  /** Content of `C4`. */
  readonly loadFileDataBlock: Uint8Array;
  /** Load File Data Block Hash (32). */
  readonly hash: Uint8Array;
  readonly dapBlock: DapBlock;
}

/** Commands of an upgrade by what they are for. */
export interface UpgradeCommands {
  /** Opens the upgrade: the card saves, and deletes the old package. Only this one needs the PIN. */
  readonly start: CommandApdu;
  readonly resume: CommandApdu;
  /** Takes a package back that failed to restore. */
  readonly recover: CommandApdu;
  readonly status: CommandApdu;
  /** INSTALL [for load], then every LOAD. */
  readonly load: readonly CommandApdu[];
}

/** Builds them. @throws {CodedError} `GP_TOO_MANY_BLOCKS`, `GP_AID`, `GP_FIELD_LENGTH`. */
export function upgradeCommands(file: UpgradePackage): UpgradeCommands {
  const { packageAid, loadFileDataBlock, hash, dapBlock } = file;
  return {
    start: startUpgrade(packageAid),
    resume: resumeUpgrade(),
    recover: recoverUpgrade(),
    status: upgradeStatus(),
    load: [
      installForLoad({ packageAid, hash }),
      ...loadBlocks(loadFileDataBlock, UPGRADE_BLOCK_BYTES, [dapBlock]),
    ],
  };
}
