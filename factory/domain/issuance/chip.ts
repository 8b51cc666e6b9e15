/** Which chips are the same chip. */

import type { Chip } from "shared/protocol/wire/attestation.ts";

const NO_DIVERSIFICATION = "0".repeat(20);

/** A chip's identity within the factory. */
export interface ChipIdentity {
  /** Key diversification data and CPLC, as text: what makes two chips the same. */
  readonly key: string;
  /** False for test cards that cannot be told apart: the key then says nothing once the card is closed. */
  readonly distinct: boolean;
}

/** Identity of a chip in a batch. */
export function chipIdentity(chip: Chip, anonymousChips: boolean): ChipIdentity {
  const nameless = chip.cplc === null && chip.keyDiversificationData === NO_DIVERSIFICATION;
  return {
    key: `${chip.keyDiversificationData}:${chip.cplc ?? ""}`,
    distinct: !anonymousChips && !nameless,
  };
}
