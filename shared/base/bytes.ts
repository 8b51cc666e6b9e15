/** Byte strings: the few operations that every protocol here needs. Hex is upper case without spaces, as in the vectors. */

import { timingSafeEqual } from "node:crypto";
import { CodedError } from "./errors.ts";

/** Joins byte strings in order. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Upper-case hex, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  return bytes.toHex().toUpperCase();
}

/**
 * Reads hex of either case; spaces are allowed between digits.
 * @throws {CodedError} `BYTES_NOT_HEX`; the text itself is not repeated, it may be a key.
 */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) {
    throw new CodedError("BYTES_NOT_HEX", "Cannot read hex: an odd number of digits, or other characters");
  }
  return Uint8Array.fromHex(digits);
}

/** Unsigned big-endian integer of 1 to 6 bytes. */
export function readUint(bytes: Uint8Array): number {
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

/** Unsigned big-endian integer in exactly `length` bytes (1 to 6). */
export function writeUint(value: number, length: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * length)) {
    throw new CodedError("BYTES_RANGE", `Cannot write ${value} in ${length} bytes: it does not fit`);
  }
  const bytes = new Uint8Array(length);
  for (let i = length - 1; i >= 0; i--) {
    bytes[i] = value % 256;
    value = Math.floor(value / 256);
  }
  return bytes;
}

/** Equality of values that are not secret. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Equality of secrets, MACs and cryptograms: time depends on the lengths only. */
export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

const UTF8_ENCODER = new TextEncoder();
const UTF8_DECODER = new TextDecoder("utf-8", { fatal: true });

/** UTF-8 bytes of a text. */
export function toUtf8(text: string): Uint8Array {
  return UTF8_ENCODER.encode(text);
}

/** Text of UTF-8 bytes; malformed input is a `TypeError`. */
export function fromUtf8(bytes: Uint8Array): string {
  return UTF8_DECODER.decode(bytes);
}
