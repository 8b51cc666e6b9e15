/** Data groupings of STORE DATA: identifier (2 bytes), length, value. GP Systems Scripting Language, annex B; EMV CPS 1.1. */

import { concat, writeUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/** Longest value, in bytes: the length is one byte, or FF and two bytes. */
export const DGI_VALUE_MAX = 0xffff;

/** Whether a length follows the identifier. */
export interface DgiForm {
  /**
   * `false`: the value runs to the end. QUIRK(recovery-key): the applet wants DGI 00B9 so, see STORE DATA 00B9 in
   * a_personalization.json.
   */
  readonly lengthByte: boolean;
}

/** One data grouping. */
export interface Dgi {
  readonly dgi: number;
  readonly value: Uint8Array;
}

/** Writes one data grouping. @throws {CodedError} `TLV_TAG`, `TLV_LENGTH`. */
export function encodeDgi(dgi: number, value: Uint8Array, form: DgiForm = { lengthByte: true }): Uint8Array {
  if (!Number.isInteger(dgi) || dgi < 0 || dgi > 0xffff) {
    throw new CodedError("TLV_TAG", "Cannot write DGI: identifier out of range");
  }
  if (value.length > DGI_VALUE_MAX) {
    throw new CodedError("TLV_LENGTH", `Cannot write DGI: value of ${value.length} bytes`);
  }
  if (!form.lengthByte) return concat(writeUint(dgi, 2), value);
  const length = value.length < 0xff
    ? Uint8Array.of(value.length)
    : concat(Uint8Array.of(0xff), writeUint(value.length, 2));
  return concat(writeUint(dgi, 2), length, value);
}

function readDgi(bytes: Uint8Array, offset: number, lengthByte: boolean): Dgi & { readonly end: number } {
  const truncated = () => new CodedError("TLV_TRUNCATED", `Cannot read DGI: ${bytes.length} bytes`);
  if (bytes.length - offset < 2) throw truncated();
  const dgi = bytes[offset]! * 256 + bytes[offset + 1]!;
  let start = offset + 2;
  let length = bytes.length - start;
  if (lengthByte) {
    const lead = bytes[start++];
    if (lead === undefined) throw truncated();
    length = lead;
    if (lead === 0xff) {
      if (bytes.length - start < 2) throw truncated();
      length = bytes[start]! * 256 + bytes[start + 1]!;
      start += 2;
    }
  }
  const end = start + length;
  if (end > bytes.length) throw truncated();
  return { dgi, value: bytes.slice(start, end), end };
}

/** Reads exactly one data grouping. @throws {CodedError} `TLV_TRUNCATED`, `TLV_TOO_MANY` when bytes are left over. */
export function parseDgi(bytes: Uint8Array, form: DgiForm = { lengthByte: true }): Dgi {
  const { dgi, value, end } = readDgi(bytes, 0, form.lengthByte);
  if (end !== bytes.length) {
    throw new CodedError("TLV_TOO_MANY", `Cannot read DGI: ${bytes.length - end} bytes follow it`);
  }
  return { dgi, value };
}

/** Reads data groupings until the input ends exactly. @throws {CodedError} `TLV_TRUNCATED`. */
export function parseDgis(bytes: Uint8Array): Dgi[] {
  const groups: Dgi[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const { dgi, value, end } = readDgi(bytes, offset, true);
    groups.push({ dgi, value });
    offset = end;
  }
  return groups;
}
