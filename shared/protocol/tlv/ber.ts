/** BER-TLV as cards use it: definite lengths only, tags of at most 3 bytes. ISO/IEC 7816-4, 5.2.2; ISO/IEC 8825-1. */

import { concat, toHex, writeUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/** Longest tag, in bytes. */
export const TAG_BYTES_MAX = 3;
/** Longest length field, in bytes, its first one included: values reach 16 MiB less 1. */
export const LENGTH_BYTES_MAX = 4;
/** Most elements on one level. */
export const ELEMENTS_MAX = 4096;

/** One element. */
export interface BerTlv {
  /** Tag bytes as one number, `0x9F70`. */
  readonly tag: number;
  /** Value bytes (a view of the input: copy before changing). */
  readonly value: Uint8Array;
  /** Whether the tag's first byte says that the value holds elements. */
  readonly constructed: boolean;
  /** The elements inside the value. @throws {CodedError} as `parseBer`. */
  children(): BerTlv[];
}

function fail(code: string, what: string): CodedError {
  return new CodedError(code, `Cannot read TLV: ${what}`);
}

/** An element with what it occupied. */
export interface BerElement {
  readonly element: BerTlv;
  /** Offset of the first byte after it. */
  readonly end: number;
}

/** Reads the tag and length at an offset, for a value that may arrive later. @throws {CodedError} as `parseBer`. */
export function readBerHeader(
  bytes: Uint8Array,
  offset: number,
): { readonly tag: number; readonly constructed: boolean; readonly length: number; readonly start: number } {
  const next = (): number => {
    const byte = bytes[offset++];
    if (byte === undefined) throw fail("TLV_TRUNCATED", "it ends inside a tag or length");
    return byte;
  };

  const first = next();
  if (first === 0) throw fail("TLV_TAG", "tag 00 is padding, not an element");
  let tag = first;
  if ((first & 0x1f) === 0x1f) {
    let more = true;
    for (let size = 2; more; size++) {
      if (size > TAG_BYTES_MAX) throw fail("TLV_TAG", `a tag is longer than ${TAG_BYTES_MAX} bytes`);
      const byte = next();
      tag = tag * 256 + byte;
      more = (byte & 0x80) !== 0;
    }
  }

  const lead = next();
  let length = lead;
  if (lead === 0x80) throw fail("TLV_INDEFINITE", "a length is indefinite");
  if (lead > 0x80) {
    const size = lead - 0x80;
    if (1 + size > LENGTH_BYTES_MAX) throw fail("TLV_LENGTH", `a length field has ${size} bytes`);
    length = 0;
    for (let i = 0; i < size; i++) length = length * 256 + next();
  }
  return { tag, constructed: (first & 0x20) !== 0, length, start: offset };
}

/** Reads the element at an offset. @throws {CodedError} as `parseBer`. */
export function readBerElement(bytes: Uint8Array, offset = 0): BerElement {
  const { tag, constructed, length, start } = readBerHeader(bytes, offset);
  const end = start + length;
  if (end > bytes.length) {
    throw fail("TLV_TRUNCATED", `${bytes.length - start} bytes of a value of ${length}`);
  }
  const value = bytes.subarray(start, end);
  return { element: { tag, value, constructed, children: () => parseBer(value) }, end };
}

/**
 * Reads elements until the input ends exactly.
 * @throws {CodedError} `TLV_TRUNCATED`, `TLV_INDEFINITE`, `TLV_LENGTH` (over 4 bytes), `TLV_TAG` (00, or over 3
 * bytes), `TLV_TOO_MANY` (over 4096).
 */
export function parseBer(bytes: Uint8Array): BerTlv[] {
  const elements: BerTlv[] = [];
  for (let offset = 0; offset < bytes.length;) {
    if (elements.length === ELEMENTS_MAX) throw fail("TLV_TOO_MANY", `more than ${ELEMENTS_MAX} elements`);
    const { element, end } = readBerElement(bytes, offset);
    elements.push(element);
    offset = end;
  }
  return elements;
}

/** Length field in its shortest form, 1 to 4 bytes. @throws {CodedError} `TLV_LENGTH` from 16 MiB on. */
export function encodeBerLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  if (length < 0x100) return Uint8Array.of(0x81, length);
  if (length < 0x10000) return concat(Uint8Array.of(0x82), writeUint(length, 2));
  if (length < 0x1000000) return concat(Uint8Array.of(0x83), writeUint(length, 3));
  throw new CodedError("TLV_LENGTH", `Cannot write TLV: value of ${length} bytes`);
}

/** Tag bytes of a tag number. @throws {CodedError} `TLV_TAG` when the number is no tag of 1 to 3 bytes. */
export function encodeBerTag(tag: number): Uint8Array {
  const size = tag > 0xffff ? 3 : tag > 0xff ? 2 : 1;
  const valid = Number.isSafeInteger(tag) && tag > 0 && tag <= 0xffffff;
  const bytes = valid ? writeUint(tag, size) : new Uint8Array(0);
  const multiByte = ((bytes[0] ?? 0) & 0x1f) === 0x1f;
  const wellFormed = valid && multiByte === (size > 1) && (size < 3 || (bytes[1]! & 0x80) !== 0) &&
    (size === 1 || (bytes[size - 1]! & 0x80) === 0);
  if (!wellFormed) throw new CodedError("TLV_TAG", `Cannot write TLV: ${tag.toString(16)} is no tag`);
  return bytes;
}

/** Writes one element; several values are joined, which is how constructed elements are made. */
export function encodeBer(tag: number, ...values: Uint8Array[]): Uint8Array {
  const value = values.length === 1 ? values[0]! : concat(...values);
  return concat(encodeBerTag(tag), encodeBerLength(value.length), value);
}

/** The first element with a tag. */
export function findBer(elements: readonly BerTlv[], tag: number): BerTlv | undefined {
  return elements.find((element) => element.tag === tag);
}

/** The only element with a tag, or undefined. @throws {CodedError} `TLV_DUPLICATE`. */
export function optionalBer(elements: readonly BerTlv[], tag: number): BerTlv | undefined {
  const found = elements.filter((element) => element.tag === tag);
  if (found.length > 1) throw fail("TLV_DUPLICATE", `tag ${tagName(tag)} occurs ${found.length} times`);
  return found[0];
}

/** The only element with a tag. @throws {CodedError} `TLV_MISSING`, `TLV_DUPLICATE`. */
export function requireBer(elements: readonly BerTlv[], tag: number): BerTlv {
  const found = optionalBer(elements, tag);
  if (found === undefined) throw fail("TLV_MISSING", `tag ${tagName(tag)} is not there`);
  return found;
}

function tagName(tag: number): string {
  return toHex(encodeBerTag(tag));
}
