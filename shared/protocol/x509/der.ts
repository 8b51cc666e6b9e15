/**
 * The little DER (X.690) that revocation lists, requests' answers and externally signed structures need. The library's object model
 * takes minutes over a list of 100,000 entries; here such a list is walked once, without copies. Only definite lengths in
 * their shortest form and one-byte tags are read: everything else is refused.
 */

/** Tags used here (X.690, 8.1.2). */
export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  context0: 0xa0,
} as const;

/** One element: where its header, its value and its end are in the bytes that were read. */
export interface DerElement {
  readonly tag: number;
  readonly start: number;
  readonly value: number;
  readonly end: number;
}

/** What a reader throws; callers turn it into their own refusal. */
export class DerFault extends Error {}

/** Reads the element at `at`, which must end at or before `limit`. @throws {DerFault} */
export function readElement(bytes: Uint8Array, at: number, limit: number): DerElement {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined || at + 2 > limit) throw new DerFault("it ends too early");
  if ((tag & 0x1f) === 0x1f) throw new DerFault("a tag is longer than one byte");
  let length = first;
  let value = at + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new DerFault("a length has no or too many bytes");
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[value++] ?? Number.NaN);
    if (!(length >= 0x80) || (count > 1 && length < 2 ** (8 * (count - 1)))) {
      throw new DerFault("a length is not in its shortest form");
    }
  }
  const end = value + length;
  if (end > limit) throw new DerFault("a value is longer than what it is in");
  return { tag, start: at, value, end };
}

/** The children of a constructed element, in order. @throws {DerFault} */
export function* children(bytes: Uint8Array, parent: DerElement): Generator<DerElement> {
  for (let at = parent.value; at < parent.end;) {
    const child = readElement(bytes, at, parent.end);
    yield child;
    at = child.end;
  }
}

/** The one element that the bytes are. @throws {DerFault} when another tag, or more, is there. */
export function readWhole(bytes: Uint8Array, tag: number): DerElement {
  const element = readElement(bytes, 0, bytes.length);
  if (element.tag !== tag || element.end !== bytes.length) {
    throw new DerFault("it is not one element of its kind");
  }
  return element;
}

/** Writes an element around its parts. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return derOfMany(tag, parts);
}

/** The same for more parts than a call has room for. */
export function derOfMany(tag: number, parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header: number[] = [tag];
  if (length < 0x80) header.push(length);
  else {
    const digits: number[] = [];
    for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
    header.push(0x80 | digits.length, ...digits);
  }
  const whole = new Uint8Array(header.length + length);
  whole.set(header);
  let at = header.length;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** An object identifier from its dotted form; arcs below 2^31. */
export function oid(dotted: string): Uint8Array<ArrayBuffer> {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const group = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) group.unshift(0x80 | (left & 0x7f));
    bytes.push(...group);
  }
  return der(DER.oid, Uint8Array.from(bytes));
}

/** A non-negative integer from big-endian bytes. */
export function unsigned(magnitude: Uint8Array): Uint8Array<ArrayBuffer> {
  const from = magnitude.findIndex((byte) => byte !== 0);
  const digits = from < 0 ? Uint8Array.of(0) : magnitude.subarray(from);
  return der(DER.integer, ...(digits[0]! & 0x80 ? [Uint8Array.of(0)] : []), digits);
}

/** Time as RFC 5280 has it (4.1.2.5): UTCTime until 2049, then GeneralizedTime; whole seconds. */
export function time(ms: number): Uint8Array<ArrayBuffer> {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  const early = Number(text.slice(0, 4)) < 2050;
  return der(
    early ? DER.utcTime : DER.generalizedTime,
    new TextEncoder().encode(early ? text.slice(2) : text),
  );
}

/** Reads a time in the one form that RFC 5280 allows; milliseconds since 1970. @throws {DerFault} */
export function readTime(bytes: Uint8Array, element: DerElement): number {
  const text = new TextDecoder().decode(bytes.subarray(element.value, element.end));
  const digits = element.tag === DER.utcTime
    ? text.replace(/^(\d\d)/, (year) => Number(year) < 50 ? `20${year}` : `19${year}`)
    : text;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if ((element.tag !== DER.utcTime && element.tag !== DER.generalizedTime) || parts === null) {
    throw new DerFault("a time is not in the form YYYYMMDDhhmmssZ");
  }
  const [, year, month, day, hour, minute, second] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) throw new DerFault("a time does not exist");
  return ms;
}

/** Base64 in PEM armour, with a final newline. */
export function toPem(label: string, bytes: Uint8Array): string {
  const lines = bytes.toBase64().match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
