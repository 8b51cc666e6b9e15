/**
 * IPv4 and IPv6 addresses as numbers, read by loops of our own: ipaddr.js takes 4 us for an IPv6 address, and every connection
 * and request asks. The tests hold them against ipaddr.js, which still writes addresses.
 */

import ipaddr from "ipaddr.js";

/** An address: 1 word (IPv4) or 4 words (IPv6) of 32 bits, most significant first. */
export type AddressWords = readonly number[];

const ZERO = 48;
const DOT = 46;

/** Reads four decimal numbers without leading zeros; undefined when it is anything else. */
export function readIpv4(text: string): number | undefined {
  let word = 0;
  let dots = 0;
  let number = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (number < 0 || ++dots > 3) return undefined;
      word = word * 256 + number;
      number = -1;
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9 || number === 0) return undefined;
    number = number < 0 ? digit : number * 10 + digit;
    if (number > 255) return undefined;
  }
  return dots === 3 && number >= 0 ? word * 256 + number : undefined;
}

/** Reads an address in its own family: an IPv4 client on a dual-stack socket shows as `::ffff:a.b.c.d`. */
export function readAddress(text: string): AddressWords | undefined {
  const plain = readIpv4(text);
  if (plain !== undefined) return [plain];
  if (!text.includes(":")) return undefined;
  const mark = text.indexOf("%");
  const bare = mark < 0 ? text : text.slice(0, mark);
  if (bare.startsWith("::ffff:")) {
    const mapped = readIpv4(bare.slice(7));
    if (mapped !== undefined) return [mapped];
  }
  const words = readIpv6(bare);
  if (words === undefined) return undefined;
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? [words[3]!] : words;
}

const COLON = 58;

/** Value of a hexadecimal digit; -1 for any other character. */
function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** Groups of the address that is being read; the readers are not entered twice. */
const groups = new Uint16Array(8);

/** RFC 4291, section 2.2: eight groups, `::` once for any number of zero groups, the last two also as an IPv4 address. */
function readIpv6(text: string): AddressWords | undefined {
  const length = text.length;
  let count = 0;
  let gap = -1;
  let at = 0;
  if (text.charCodeAt(0) === COLON && text.charCodeAt(1) === COLON) {
    gap = 0;
    at = 2;
  }
  while (at < length) {
    if (count === 8) return undefined;
    const from = at;
    let value = 0;
    for (let digit = 0; at < length; at++, value = value * 16 + digit) {
      digit = hexDigit(text.charCodeAt(at));
      if (digit < 0 || at - from > 4) break;
    }
    const stop = at < length ? text.charCodeAt(at) : COLON;
    if (stop === DOT) {
      const last = count > 6 ? undefined : readIpv4(text.slice(from));
      if (last === undefined) return undefined;
      groups[count++] = last >>> 16;
      groups[count++] = last & 0xffff;
      break;
    }
    if (at === from || at - from > 4 || stop !== COLON) return undefined;
    groups[count++] = value;
    if (at === length) break;
    if (text.charCodeAt(at + 1) === COLON) {
      if (gap >= 0) return undefined;
      gap = count;
      at += 2;
    } else if (++at === length) return undefined;
  }
  if (gap < 0 ? count !== 8 : count > 7) return undefined;
  if (gap >= 0) {
    groups.copyWithin(8 - (count - gap), gap, count);
    groups.fill(0, gap, 8 - (count - gap));
  }
  return [
    groups[0]! * 65_536 + groups[1]!,
    groups[2]! * 65_536 + groups[3]!,
    groups[4]! * 65_536 + groups[5]!,
    groups[6]! * 65_536 + groups[7]!,
  ];
}

/** The address as it is logged and compared: IPv4 without the IPv6 wrapping, IPv6 without a zone. */
export function normalAddress(text: string): string {
  if (readIpv4(text) !== undefined) return text;
  const words = readAddress(text);
  return words === undefined ? text : writeAddress(words);
}

function writeAddress(words: AddressWords): string {
  if (words.length === 1) return [24, 16, 8, 0].map((shift) => (words[0]! >>> shift) & 255).join(".");
  return new ipaddr.IPv6(words.flatMap((word) => [word >>> 16, word & 0xffff])).toString();
}

/** Whoever has an IPv6 address has its whole /64: limits and bans count that. An IPv4 address counts alone. */
export function addressGroup(text: string): string {
  if (readIpv4(text) !== undefined) return text;
  const words = readAddress(text);
  if (words === undefined) return text;
  return words.length === 1 ? writeAddress(words) : `${writeAddress([words[0]!, words[1]!, 0, 0])}/64`;
}
