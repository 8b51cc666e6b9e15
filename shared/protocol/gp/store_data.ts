/** STORE DATA in numbered blocks. GPC 2.3.1, 11.11. */

import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu, SHORT_DATA_MAX } from "../apdu/command.ts";
import { CLA_GP, INS_STORE_DATA, P1_LAST_BLOCK } from "./constants.ts";
import "./errors.ts";

/** Most blocks: P2 counts from 00 to FF. */
export const STORE_DATA_BLOCKS_MAX = 256;

/** What P1 says besides which block is last. Section 11.11.2.1. */
export const STORE_DATA_P1 = {
  NO_STRUCTURE: 0x00,
  DGI: 0x08,
  BER_TLV: 0x10,
  /** Data encrypted with the DEK. */
  ENCRYPTED: 0x60,
  CASE_4: 0x01,
} as const;

/**
 * STORE DATA commands in order, one for each block.
 * @param options.p1 structure bits, default `00` as recorded; the last block gets `80` added.
 * @throws {CodedError} `GP_TOO_MANY_BLOCKS`, `GP_FIELD_LENGTH` over 255 bytes in a block.
 */
export function storeDataCommands(
  blocks: readonly Uint8Array[],
  options: { readonly cla?: number; readonly p1?: number } = {},
): CommandApdu[] {
  if (blocks.length > STORE_DATA_BLOCKS_MAX) {
    throw new CodedError("GP_TOO_MANY_BLOCKS", `Cannot store data: ${blocks.length} blocks, not at most 256`);
  }
  return blocks.map((block, number) => {
    if (block.length > SHORT_DATA_MAX) {
      throw new CodedError("GP_FIELD_LENGTH", `Cannot store data: block of ${block.length} bytes`);
    }
    const last = number === blocks.length - 1 ? P1_LAST_BLOCK : 0;
    return command(options.cla ?? CLA_GP, INS_STORE_DATA, (options.p1 ?? 0) | last, number, block);
  });
}

/** One STORE DATA as the card reads it. */
export interface StoreDataBlock {
  readonly last: boolean;
  readonly number: number;
  /** P1 without the bit that says last. */
  readonly structure: number;
  readonly data: Uint8Array;
}

/** The card's reading of STORE DATA. */
export function parseStoreData(apdu: CommandApdu): StoreDataBlock {
  return {
    last: (apdu.p1 & P1_LAST_BLOCK) !== 0,
    number: apdu.p2,
    structure: apdu.p1 & 0x7f,
    data: apdu.data,
  };
}
