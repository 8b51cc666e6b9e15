/**
 * Reads a certificate revocation list (RFC 5280, section 5) in one pass: 100,000 entries take tens of milliseconds. Only a complete
 * list of one authority is taken: delta lists, scoped and indirect ones, and whatever a critical extension says that is
 * not understood here, are refused, for a list that is half understood lets revoked certificates in.
 */

import { children, DER, type DerElement, DerFault, oid, readElement, readTime } from "./der.ts";
import { normalSerial } from "./serial_number.ts";
import { type SignedParts, signedParts } from "./signed.ts";

/** Why a list is not taken; stable, for logs. */
export type RevocationListFault =
  | "list-malformed"
  | "list-delta"
  | "list-scoped"
  | "list-critical-extension"
  | "list-entry-extension"
  | "list-issuer"
  | "list-signature"
  | "list-older"
  | "list-unnumbered"
  | "list-from-future"
  | "list-too-large";

/** A list as it stands; nothing is verified yet. */
export interface ParsedRevocationList {
  /** The issuer's name, DER. */
  readonly issuer: Uint8Array;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** Milliseconds since 1970; undefined when the list does not say. */
  readonly nextUpdate: number | undefined;
  /** CRL number (5.2.3); undefined when there is none. */
  readonly number: bigint | undefined;
  /** Serial numbers as `normalSerial` writes them. */
  readonly revoked: ReadonlySet<string>;
  readonly parts: SignedParts;
}

/** A list that was read, or why not. */
export type ListReading =
  | { readonly kind: "list"; readonly list: ParsedRevocationList }
  | { readonly kind: "fault"; readonly fault: RevocationListFault; readonly detail: string };

const hexOf = (dotted: string) => oid(dotted).toHex();
const AUTHORITY_KEY_IDENTIFIER = hexOf("2.5.29.35");
const CRL_NUMBER = hexOf("2.5.29.20");
const DELTA = hexOf("2.5.29.27");
const SCOPE = hexOf("2.5.29.28");
const UNDERSTOOD = new Set([AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER]);
/** Longest CRL number (5.2.3). */
const MAX_NUMBER_BYTES = 20;
const PEM_LIST = /^\s*-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----\s*$/;

/** Reads PEM or DER. */
export function parseRevocationList(data: Uint8Array): ListReading {
  try {
    return read(derOf(data));
  } catch (error) {
    const detail = error instanceof DerFault
      ? error.message
      : "it is neither PEM nor DER of a revocation list";
    return { kind: "fault", fault: "list-malformed", detail };
  }
}

function derOf(data: Uint8Array): Uint8Array {
  if (data[0] === DER.sequence) return data;
  const body = PEM_LIST.exec(new TextDecoder().decode(data))?.[1];
  if (body === undefined) throw new DerFault("it is neither PEM nor DER of a revocation list");
  return Uint8Array.fromBase64(body);
}

interface Extension {
  readonly name: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

function read(bytes: Uint8Array): ListReading {
  const parts = signedParts(bytes);
  const fields = [...children(bytes, parts.content)];
  const text = (element: DerElement) => bytes.subarray(element.start, element.end);
  // Version is 1 (v2) or absent (v1); a v1 list has no extensions and so no number.
  if (fields[0]?.tag === DER.integer) {
    if (bytes.subarray(fields[0].value, fields[0].end).toHex() !== "01") {
      throw new DerFault("its version is unknown");
    }
    fields.shift();
  }
  const algorithm = fields.shift();
  const issuer = fields.shift();
  const thisUpdate = fields.shift();
  if (algorithm?.tag !== DER.sequence || issuer?.tag !== DER.sequence || thisUpdate === undefined) {
    throw new DerFault("a field is missing");
  }
  if (text(algorithm).toHex() !== parts.algorithm.toHex()) throw new DerFault("its two algorithms differ");
  const next = fields[0]?.tag === DER.utcTime || fields[0]?.tag === DER.generalizedTime
    ? fields.shift()
    : undefined;
  const entries = fields[0]?.tag === DER.sequence ? fields.shift() : undefined;
  const tagged = fields[0]?.tag === DER.context0 ? fields.shift() : undefined;
  if (fields.length > 0) throw new DerFault("it has a field too many");

  let number: bigint | undefined;
  if (tagged !== undefined) {
    const [list] = children(bytes, tagged);
    if (list === undefined) throw new DerFault("its extensions are empty");
    for (const { name, critical, value } of extensions(bytes, list)) {
      if (name === DELTA) {
        return { kind: "fault", fault: "list-delta", detail: "it holds only changes to another list" };
      }
      if (name === SCOPE) {
        return { kind: "fault", fault: "list-scoped", detail: "it covers only some certificates" };
      }
      if (critical && !UNDERSTOOD.has(name)) {
        return {
          kind: "fault",
          fault: "list-critical-extension",
          detail: `extension ${name} is critical and unknown`,
        };
      }
      if (name === CRL_NUMBER) number = numberOf(value);
    }
  }
  const revoked = new Set<string>();
  // Without generators and copies: this loop is what a reload of a long list costs.
  for (let at = entries?.value ?? 0; at < (entries?.end ?? 0);) {
    const entry = readElement(bytes, at, entries!.end);
    at = entry.end;
    if (entry.tag !== DER.sequence) throw new DerFault("an entry is malformed");
    const serial = readElement(bytes, entry.value, entry.end);
    if (serial.tag !== DER.integer) throw new DerFault("an entry has no serial number");
    const date = readElement(bytes, serial.end, entry.end);
    if (date.end < entry.end) {
      const more = readElement(bytes, date.end, entry.end);
      if (more.end !== entry.end) throw new DerFault("an entry has a field too many");
      // A critical one here names another issuer (5.3.3): the entry would be read for the wrong certificate.
      for (const { critical } of extensions(bytes, more)) {
        if (critical) {
          return { kind: "fault", fault: "list-entry-extension", detail: "an entry's extension is critical" };
        }
      }
    }
    revoked.add(normalSerial(bytes.subarray(serial.value, serial.end).toHex()));
  }
  return {
    kind: "list",
    list: {
      issuer: text(issuer),
      thisUpdate: readTime(bytes, thisUpdate),
      nextUpdate: next === undefined ? undefined : readTime(bytes, next),
      number,
      revoked,
      parts,
    },
  };
}

function* extensions(bytes: Uint8Array, list: DerElement): Generator<Extension> {
  for (const extension of children(bytes, list)) {
    const [name, second, third] = children(bytes, extension);
    const value = third ?? second;
    if (name?.tag !== DER.oid || value?.tag !== DER.octetString) {
      throw new DerFault("an extension is malformed");
    }
    yield {
      name: bytes.subarray(name.start, name.end).toHex(),
      critical: second?.tag === DER.boolean && bytes[second.value] !== 0,
      value: bytes.subarray(value.value, value.end),
    };
  }
}

function numberOf(value: Uint8Array): bigint {
  const length = value.length - 2;
  if (
    value[0] !== DER.integer || value[1] !== length || length < 1 || length > MAX_NUMBER_BYTES ||
    value[2]! & 0x80
  ) {
    throw new DerFault("its number is malformed");
  }
  return BigInt(`0x${value.subarray(2).toHex()}`);
}

/** Number and date of a list that is held. */
export interface HeldList {
  readonly thisUpdate: number;
  readonly number?: bigint | undefined;
}

/** A list may be dated this much later than our clock, in milliseconds. */
export const LIST_CLOCK_SKEW_MS = 5 * 60_000;

/**
 * Whether a list may take the place of the one that is held: who can answer for an authority's address must not be able to give
 * back an old list in which a certificate is not revoked yet.
 */
export function replacementFault(
  held: HeldList | undefined,
  offered: HeldList,
  now: number,
): RevocationListFault | undefined {
  if (offered.thisUpdate > now + LIST_CLOCK_SKEW_MS) return "list-from-future";
  if (held === undefined) return undefined;
  if (held.number !== undefined) {
    if (offered.number === undefined) return "list-unnumbered";
    if (offered.number < held.number) return "list-older";
    if (offered.number > held.number) return undefined;
  }
  return offered.thisUpdate < held.thisUpdate ? "list-older" : undefined;
}
