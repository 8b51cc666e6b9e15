/** LOAD: a package in numbered blocks. GPC 2.3.1, 11.6; DAP blocks appendix C. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu, SHORT_DATA_MAX } from "../apdu/command.ts";
import { encodeBer } from "../tlv/ber.ts";
import { checkAid } from "./aid.ts";
import { CLA_GP, INS_LOAD, P1_LAST_BLOCK } from "./constants.ts";

/** Most blocks: P2 counts from 00 to FF. */
export const LOAD_BLOCKS_MAX = 256;

/** Tags of a load file. Section 11.6.2.3. */
export const LOAD_TAG = { DAP_BLOCK: 0xe2, AID: 0x4f, SIGNATURE: 0xc3, LOAD_FILE_DATA_BLOCK: 0xc4 } as const;

/** A signature over the hash of the load file data block. */
export interface DapBlock {
  /** The Security Domain that verifies it. */
  readonly securityDomainAid: Uint8Array;
  readonly signature: Uint8Array;
}

/** The load file: DAP blocks first, then `C4`. @throws {CodedError} `GP_AID`, `TLV_LENGTH`. */
export function encodeLoadFile(
  loadFileDataBlock: Uint8Array,
  dapBlocks: readonly DapBlock[] = [],
): Uint8Array {
  const blocks = dapBlocks.map((dap) =>
    encodeBer(
      LOAD_TAG.DAP_BLOCK,
      encodeBer(LOAD_TAG.AID, checkAid(dap.securityDomainAid)),
      encodeBer(LOAD_TAG.SIGNATURE, dap.signature),
    )
  );
  return concat(...blocks, encodeBer(LOAD_TAG.LOAD_FILE_DATA_BLOCK, loadFileDataBlock));
}

/**
 * LOAD commands in order (`80 E8 00|80 nn`, no Le).
 * @param loadFileDataBlock content of `C4`, see `readCap`.
 * @param blockSize bytes of load file in each command, 1 to 255; at level 33 of SCP03 at most 239 fit.
 * @throws {CodedError} `GP_BLOCK_SIZE`, `GP_TOO_MANY_BLOCKS` (over 256), `GP_AID`, `TLV_LENGTH`.
 */
export function loadBlocks(
  loadFileDataBlock: Uint8Array,
  blockSize: number,
  dapBlocks: readonly DapBlock[] = [],
  options: { readonly cla?: number } = {},
): CommandApdu[] {
  if (!Number.isInteger(blockSize) || blockSize < 1 || blockSize > SHORT_DATA_MAX) {
    throw new CodedError("GP_BLOCK_SIZE", `Cannot split load file: blocks of ${blockSize} bytes`);
  }
  const file = encodeLoadFile(loadFileDataBlock, dapBlocks);
  const count = Math.ceil(file.length / blockSize);
  if (count > LOAD_BLOCKS_MAX) {
    throw new CodedError(
      "GP_TOO_MANY_BLOCKS",
      `Cannot split load file: ${file.length} bytes are ${count} blocks of ${blockSize}, not at most 256`,
      { count, blockSize },
    );
  }
  return Array.from({ length: count }, (_, number) =>
    command(
      options.cla ?? CLA_GP,
      INS_LOAD,
      number === count - 1 ? P1_LAST_BLOCK : 0,
      number,
      file.slice(number * blockSize, (number + 1) * blockSize),
    ));
}
