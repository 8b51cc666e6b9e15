/** The card's side of LOAD: blocks in order become a load file. GPC 2.3.1, 11.6. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import type { CommandApdu } from "../apdu/command.ts";
import { SW } from "../apdu/status_words.ts";
import { parseBer, requireBer } from "../tlv/ber.ts";
import { isAid } from "./aid.ts";
import { P1_LAST_BLOCK } from "./constants.ts";
import { type DapBlock, LOAD_TAG } from "./load.ts";

/** Largest load file that is assembled, in bytes: what 256 blocks of 255 carry. */
export const LOAD_FILE_BYTES_MAX = 256 * 255;

/** A load file taken apart. */
export interface LoadFile {
  readonly dapBlocks: readonly DapBlock[];
  /** Content of `C4`. */
  readonly loadFileDataBlock: Uint8Array;
}

/** Reads a whole load file. @throws {CodedError} `GP_LOAD_FILE`, `TLV_*`. */
export function parseLoadFile(bytes: Uint8Array): LoadFile {
  const elements = parseBer(bytes);
  const block = requireBer(elements, LOAD_TAG.LOAD_FILE_DATA_BLOCK);
  if (elements.at(-1) !== block || elements.slice(0, -1).some((e) => e.tag !== LOAD_TAG.DAP_BLOCK)) {
    throw new CodedError("GP_LOAD_FILE", "Cannot read load file: it is not DAP blocks and then one C4");
  }
  const dapBlocks = elements.slice(0, -1).map((element) => {
    const parts = element.children();
    const aid = requireBer(parts, LOAD_TAG.AID).value;
    if (!isAid(aid) || parts.length !== 2) throw new CodedError("GP_LOAD_FILE", "Cannot read DAP block");
    return { securityDomainAid: aid.slice(), signature: requireBer(parts, LOAD_TAG.SIGNATURE).value.slice() };
  });
  return { dapBlocks, loadFileDataBlock: block.value.slice() };
}

/** What became of one block. */
export type LoadStep =
  | { readonly kind: "more" }
  | { readonly kind: "complete"; readonly file: LoadFile }
  | { readonly kind: "refuse"; readonly sw: number };

/** What is known of a load in progress: plain data, so that a card can keep it where it likes. */
export interface LoadProgress {
  /** Number that the next block must have. */
  readonly next: number;
  /** Bytes so far. */
  readonly bytes: Uint8Array;
}

/** A load of which no block came yet. */
export const LOAD_START: LoadProgress = { next: 0, bytes: new Uint8Array(0) };

/**
 * Takes the next block. A torn load starts again at `LOAD_START`.
 * Refusals: wrong number or P1 6A86, too large 6A84, no load file 6A80, empty block 6700.
 */
export function acceptLoadBlock(
  progress: LoadProgress,
  apdu: CommandApdu,
): { readonly progress: LoadProgress; readonly step: LoadStep } {
  const refuse = (sw: number) => ({ progress, step: { kind: "refuse", sw } as const });
  if ((apdu.p1 !== 0 && apdu.p1 !== P1_LAST_BLOCK) || apdu.p2 !== progress.next) {
    return refuse(SW.INCORRECT_P1P2);
  }
  if (apdu.data.length === 0) return refuse(SW.WRONG_LENGTH);
  if (progress.bytes.length + apdu.data.length > LOAD_FILE_BYTES_MAX) return refuse(SW.NOT_ENOUGH_MEMORY);

  const bytes = concat(progress.bytes, apdu.data);
  const after = { next: progress.next + 1, bytes };
  if (apdu.p1 !== P1_LAST_BLOCK) return { progress: after, step: { kind: "more" } };
  try {
    return { progress: LOAD_START, step: { kind: "complete", file: parseLoadFile(bytes) } };
  } catch (error) {
    if (error instanceof CodedError) return refuse(SW.WRONG_DATA);
    throw error;
  }
}

/** The DAP block meant for a Security Domain, if there is one. */
export function dapFor(file: LoadFile, securityDomainAid: Uint8Array): DapBlock | undefined {
  return file.dapBlocks.find((dap) =>
    dap.securityDomainAid.length === securityDomainAid.length &&
    dap.securityDomainAid.every((byte, i) => byte === securityDomainAid[i])
  );
}
