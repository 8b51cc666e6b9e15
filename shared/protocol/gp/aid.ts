/** Application identifiers and length-prefixed fields. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/** Shortest AID, in bytes. ISO/IEC 7816-4, 8.2.1.2. */
export const AID_BYTES_MIN = 5;
/** Longest AID, in bytes. */
export const AID_BYTES_MAX = 16;

/** Whether bytes have the length of an AID. */
export function isAid(bytes: Uint8Array): boolean {
  return bytes.length >= AID_BYTES_MIN && bytes.length <= AID_BYTES_MAX;
}

/** Gives the AID back. @throws {CodedError} `GP_AID` unless 5 to 16 bytes. */
export function checkAid(aid: Uint8Array): Uint8Array {
  if (!isAid(aid)) throw new CodedError("GP_AID", `Cannot use AID: ${aid.length} bytes, not 5 to 16`);
  return aid;
}

/** One length byte and the bytes. @throws {CodedError} `GP_FIELD_LENGTH` over 255 bytes. */
export function lengthValue(bytes: Uint8Array): Uint8Array {
  if (bytes.length > 255) {
    throw new CodedError("GP_FIELD_LENGTH", `Cannot write field: ${bytes.length} bytes`);
  }
  return concat(Uint8Array.of(bytes.length), bytes);
}
