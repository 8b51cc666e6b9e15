/** Card Production Life Cycle data (tag 9F7F): who made the card, and when. Visa GlobalPlatform 2.1.1 Card Implementation Requirements, table 6-1. */

import { concat, toHex } from "../../base/bytes.ts";
import { layout } from "../../base/layout.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { encodeBer, parseBer, requireBer } from "../tlv/ber.ts";
import { CLA_GP, INS_GET_DATA } from "./constants.ts";

/** Fields of CPLC data with their lengths in bytes. Dates are YDDD: last digit of the year, day of the year. */
export const CPLC_LAYOUT = layout(42, {
  icFabricator: 2,
  icType: 2,
  operatingSystemId: 2,
  operatingSystemReleaseDate: 2,
  operatingSystemReleaseLevel: 2,
  icFabricationDate: 2,
  icSerialNumber: 4,
  icBatchId: 2,
  icModuleFabricator: 2,
  icModulePackagingDate: 2,
  iccManufacturer: 2,
  icEmbeddingDate: 2,
  icPrePersonalizer: 2,
  icPrePersonalizationEquipmentDate: 2,
  icPrePersonalizationEquipmentId: 4,
  icPersonalizer: 2,
  icPersonalizationDate: 2,
  icPersonalizationEquipmentId: 4,
});

/** CPLC data: its fields, and all 42 bytes as hex for records. */
export type Cplc = ReturnType<typeof CPLC_LAYOUT.decode>;

/** GET DATA of CPLC. */
export function getCplcCommand(cla: number = CLA_GP): CommandApdu {
  return command(cla, INS_GET_DATA, 0x9f, 0x7f, undefined, 256);
}

/** Reads the answer to GET DATA 9F7F. @throws {CodedError} `TLV_*`, `LAYOUT_LENGTH` unless 42 bytes. */
export function parseCplc(data: Uint8Array): Cplc {
  return CPLC_LAYOUT.decode(requireBer(parseBer(data), 0x9f7f).value);
}

/** Writes the answer to GET DATA 9F7F. @throws {CodedError} `LAYOUT_LENGTH`. */
export function encodeCplc(cplc: Cplc): Uint8Array {
  return encodeBer(0x9f7f, CPLC_LAYOUT.encode(cplc));
}

/** All 42 bytes as hex, for records. */
export function cplcHex(cplc: Cplc): string {
  return toHex(CPLC_LAYOUT.encode(cplc));
}

/**
 * What tells one chip from another, as hex: fabricator, type, fabrication date, serial number, batch (12 bytes).
 * The fields that personalizers fill are left out: they may change.
 */
export function cplcChipId(cplc: Cplc): string {
  return toHex(
    concat(cplc.icFabricator, cplc.icType, cplc.icFabricationDate, cplc.icSerialNumber, cplc.icBatchId),
  );
}
