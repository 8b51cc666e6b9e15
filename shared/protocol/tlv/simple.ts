/** SIMPLE-TLV with one-byte tag and one-byte length, as the Recovery Key applet uses it. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/** Longest value, in bytes. A length byte of FF would begin the 3-byte form, which is not spoken here. ISO/IEC 7816-4, 5.2.1. */
export const SIMPLE_VALUE_MAX = 254;

/** One element. */
export interface SimpleTlv {
  readonly tag: number;
  readonly value: Uint8Array;
}

/** Reads elements (values are copies) until the input ends exactly. @throws {CodedError} `TLV_TRUNCATED`, `TLV_LENGTH`. */
export function parseSimple(bytes: Uint8Array): SimpleTlv[] {
  const elements: SimpleTlv[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const tag = bytes[offset]!;
    const length = bytes[offset + 1];
    if (length === undefined) throw new CodedError("TLV_TRUNCATED", "Cannot read TLV: it ends after a tag");
    if (length > SIMPLE_VALUE_MAX) throw new CodedError("TLV_LENGTH", "Cannot read TLV: 3-byte length");
    const start = offset + 2;
    offset = start + length;
    if (offset > bytes.length) {
      throw new CodedError(
        "TLV_TRUNCATED",
        `Cannot read TLV: ${bytes.length - start} bytes of a value of ${length}`,
      );
    }
    elements.push({ tag, value: bytes.slice(start, offset) });
  }
  return elements;
}

/** Writes one element. @throws {CodedError} `TLV_LENGTH` over 254 bytes, `TLV_TAG`. */
export function encodeSimple(tag: number, value: Uint8Array): Uint8Array {
  if (value.length > SIMPLE_VALUE_MAX) {
    throw new CodedError("TLV_LENGTH", `Cannot write TLV: value of ${value.length} bytes`);
  }
  if (!Number.isInteger(tag) || tag < 0 || tag > 0xff) {
    throw new CodedError("TLV_TAG", "Cannot write TLV: no tag");
  }
  return concat(Uint8Array.of(tag, value.length), value);
}
