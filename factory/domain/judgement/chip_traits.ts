/** What a chip's CPLC data says about where it comes from: chips of one lot tend to fail together. */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CPLC_LAYOUT } from "shared/protocol/gp/cplc.ts";

/** Traits of a chip. */
export const CHIP_TRAITS = ["firmware", "chip fabrication date", "chip lot", "chip type"] as const;

/**
 * Traits of a chip.
 * @param cplc 42 bytes of hex; `null` where a card has none, which then has no traits.
 * @returns hex of the CPLC fields: firmware is operating system and release level (4 bytes), a date is YDDD (2), a lot is the
 *   batch of the chip maker (2), a type is fabricator and type (4).
 */
export function chipTraits(
  cplc: string | null,
): Readonly<Partial<Record<(typeof CHIP_TRAITS)[number], string>>> {
  if (cplc === null) return {};
  const fields = CPLC_LAYOUT.decode(fromHex(cplc));
  return {
    firmware: toHex(fields.operatingSystemId) + toHex(fields.operatingSystemReleaseLevel),
    "chip fabrication date": toHex(fields.icFabricationDate),
    "chip lot": toHex(fields.icBatchId),
    "chip type": toHex(fields.icFabricator) + toHex(fields.icType),
  };
}
