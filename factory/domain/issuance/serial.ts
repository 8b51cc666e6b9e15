/** Card serial numbers as text. */

import { toHex, writeUint } from "shared/base/bytes.ts";

/** Length of a card serial number in bytes. */
export const SERIAL_LENGTH = 4;

/** A card serial number as 4 bytes of hex. */
export function serialHex(serial: number): string {
  return toHex(writeUint(serial, SERIAL_LENGTH));
}
