/** Which chips are the same chip, and what two chips must not share. */

import type { Chip } from "shared/protocol/wire/attestation.ts";
import type { ChipParts } from "../../transport/issuance_store/transaction_rows.ts";

const NO_DIVERSIFICATION = "0".repeat(20);

/**
 * Fields of the CPLC (42 bytes; GPC Guidelines, "CPLC data") that the chip's maker sets and nobody changes, as ranges
 * of bytes: IC fabricator and IC type; fabrication date, serial number and batch identifier of the IC.
 */
const CPLC_SERIAL_FIELDS: readonly (readonly [from: number, to: number])[] = [[0, 4], [10, 18]];

/** A chip's identity within the factory. */
export interface ChipIdentity {
  /** Key diversification data and CPLC, as text: what makes two chips the same. */
  readonly key: string;
  /** False for test cards that cannot be told apart: the key then says nothing once the card is closed. */
  readonly distinct: boolean;
  /** What no other chip may have. */
  readonly parts: ChipParts;
}

/** Identity of a chip in a batch. */
export function chipIdentity(chip: Chip, anonymousChips: boolean): ChipIdentity {
  const nameless = chip.cplc === null && chip.keyDiversificationData === NO_DIVERSIFICATION;
  return {
    key: `${chip.keyDiversificationData}:${chip.cplc ?? ""}`,
    distinct: !anonymousChips && !nameless,
    parts: {
      diversification: chip.keyDiversificationData === NO_DIVERSIFICATION
        ? null
        : chip.keyDiversificationData,
      cplcSerial: chip.cplc === null ? null : cplcSerial(chip.cplc),
    },
  };
}

/** The serial fields (12 bytes of hex) of a CPLC of 42. */
function cplcSerial(cplc: string): string {
  return CPLC_SERIAL_FIELDS.map(([from, to]) => cplc.slice(2 * from, 2 * to)).join("");
}
