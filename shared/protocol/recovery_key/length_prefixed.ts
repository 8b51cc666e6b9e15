/** Fields with a length byte each, as the applet's messages join them. */

import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/** Joins `length || value` for each value. @throws {CodedError} `RK_FIELD` for a value over 255 bytes. */
export function joinPrefixed(...values: Uint8Array[]): Uint8Array {
  const total = values.reduce((length, value) => length + 1 + value.length, 0);
  const joined = new Uint8Array(total);
  let offset = 0;
  for (const value of values) {
    if (value.length > 0xff) throw new CodedError("RK_FIELD", `Cannot write field: ${value.length} bytes`);
    joined[offset] = value.length;
    joined.set(value, offset + 1);
    offset += 1 + value.length;
  }
  return joined;
}

/** Allowed length of one field: exactly `n`, or from `min` to `max`, in bytes. */
export type FieldLength = number | { readonly min: number; readonly max: number };

/**
 * Cuts `length || value` fields (copies) that fill the input exactly.
 * @param lengths one for each field, in order.
 * @throws {CodedError} `RK_MALFORMED`.
 */
export function splitPrefixed<const L extends readonly FieldLength[]>(
  bytes: Uint8Array,
  lengths: L,
): { -readonly [K in keyof L]: Uint8Array } {
  const values: Uint8Array[] = [];
  let offset = 0;
  for (const allowed of lengths) {
    const length = bytes[offset];
    const min = typeof allowed === "number" ? allowed : allowed.min;
    const max = typeof allowed === "number" ? allowed : allowed.max;
    const end = offset + 1 + (length ?? 0);
    if (length === undefined || length < min || length > max || end > bytes.length) {
      throw new CodedError("RK_MALFORMED", `Cannot read field ${values.length + 1}: wrong length`);
    }
    values.push(bytes.slice(offset + 1, end));
    offset = end;
  }
  if (offset !== bytes.length) {
    throw new CodedError(
      "RK_MALFORMED",
      `Cannot read fields: ${bytes.length - offset} bytes follow the last`,
    );
  }
  return values as { -readonly [K in keyof L]: Uint8Array };
}

/** A field that must have exactly one length. @throws {CodedError} `RK_FIELD`. */
export function requireLength(name: string, value: Uint8Array, length: number): Uint8Array {
  if (value.length !== length) {
    throw new CodedError("RK_FIELD", `Cannot use ${name}: ${value.length} bytes, not ${length}`);
  }
  return value;
}

/** Shortest DER signature, in bytes: two integers of one byte. */
export const SIGNATURE_LENGTH_MIN = 8;
/** Length of a DER signature as a field. */
export const SIGNATURE_FIELD = { min: SIGNATURE_LENGTH_MIN, max: 72 } as const;
