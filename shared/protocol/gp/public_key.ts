/** Public keys in PUT KEY: ECC P-256 and RSA, in clear. GPC 2.3.1, 11.8.2.3 and tables 11-16 and 11-71. */

import { concat, readUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { encodeBer } from "../tlv/ber.ts";
import { CLA_GP, INS_PUT_KEY } from "./constants.ts";
import "./errors.ts";

/** Key component types. Table 11-16. */
export const PUBLIC_KEY_TYPE = {
  RSA_EXPONENT: 0xa0,
  RSA_MODULUS: 0xa1,
  ECC_POINT: 0xb0,
  ECC_PARAMETERS: 0xf0,
} as const;

/** Key parameter reference of P-256. GPC 2.3.1, table B-2. */
export const PARAMETERS_P256 = 0x00;
/** Bit of P1: further PUT KEY commands follow. Section 11.8.2.1. */
export const P1_MORE_PUT_KEY = 0x80;

const POINT_BYTES = 65;
const UNCOMPRESSED = 0x04;

/** A public key that a card can be given. */
export type PublicKey =
  | { readonly kind: "ec-p256"; /** Uncompressed, 65 bytes. */ readonly point: Uint8Array }
  | { readonly kind: "rsa"; readonly modulus: Uint8Array; readonly exponent: Uint8Array };

/** One component of a key. */
export interface KeyComponentValue {
  readonly type: number;
  readonly value: Uint8Array;
}

/** A key as the components that a card keeps. */
export function publicKeyComponents(key: PublicKey): KeyComponentValue[] {
  if (key.kind === "rsa") {
    return [
      { type: PUBLIC_KEY_TYPE.RSA_MODULUS, value: key.modulus },
      { type: PUBLIC_KEY_TYPE.RSA_EXPONENT, value: key.exponent },
    ];
  }
  return [
    { type: PUBLIC_KEY_TYPE.ECC_POINT, value: key.point },
    { type: PUBLIC_KEY_TYPE.ECC_PARAMETERS, value: Uint8Array.of(PARAMETERS_P256) },
  ];
}

/** The key of components, or undefined when they are not a key that is spoken here. */
export function publicKeyOfComponents(components: readonly KeyComponentValue[]): PublicKey | undefined {
  const value = (type: number) => components.find((one) => one.type === type)?.value;
  const modulus = value(PUBLIC_KEY_TYPE.RSA_MODULUS);
  const exponent = value(PUBLIC_KEY_TYPE.RSA_EXPONENT);
  if (modulus !== undefined && exponent !== undefined) return { kind: "rsa", modulus, exponent };
  const point = value(PUBLIC_KEY_TYPE.ECC_POINT);
  const parameters = value(PUBLIC_KEY_TYPE.ECC_PARAMETERS) ?? Uint8Array.of(PARAMETERS_P256);
  const known = point?.length === POINT_BYTES && point[0] === UNCOMPRESSED && parameters.length === 1 &&
    parameters[0] === PARAMETERS_P256;
  return known ? { kind: "ec-p256", point } : undefined;
}

/** The key data field: components with their lengths, no check value. */
export function encodePublicKeyField(key: PublicKey): Uint8Array {
  const components = publicKeyComponents(key).map(({ type, value }) => encodeBer(type, value));
  return concat(...components, Uint8Array.of(0));
}

const isComponentType = (type: number | undefined) =>
  type !== undefined && (Object.values(PUBLIC_KEY_TYPE) as number[]).includes(type);

/** Whether a key data field that begins with this type is a public key. */
export function isPublicKeyType(type: number): boolean {
  return isComponentType(type) && type !== PUBLIC_KEY_TYPE.ECC_PARAMETERS;
}

/**
 * Reads a key data field of a public key.
 * @returns the key, and the offset after its check value length.
 * @throws {CodedError} `GP_COMMAND` (6A80).
 */
export function readPublicKeyField(data: Uint8Array, offset: number): { key: PublicKey; end: number } {
  const malformed = () =>
    new CodedError("GP_COMMAND", "Cannot read PUT KEY: a public key is not laid out so");
  const components: KeyComponentValue[] = [];
  let at = offset;
  while (isComponentType(data[at])) {
    const type = data[at]!;
    let length = data[at + 1] ?? 0;
    at += 2;
    if (length === 0x81 || length === 0x82) {
      const size = length - 0x80;
      if (at + size > data.length) throw malformed();
      length = readUint(data.subarray(at, at + size));
      at += size;
    }
    if (length === 0 || at + length > data.length) throw malformed();
    components.push({ type, value: data.slice(at, at + length) });
    at += length;
  }
  const key = publicKeyOfComponents(components);
  // Check values are for secret keys: a public one has length 00 here.
  if (key === undefined || components.length !== 2 || data[at] !== 0) throw malformed();
  return { key, end: at + 1 };
}

/** A public key to be written. */
export interface PutPublicKey {
  readonly newVersion: number;
  /** Key identifier, 1 to 127. */
  readonly id: number;
  /** Version that it replaces; absent or 0: it is added. */
  readonly replaceVersion?: number;
  readonly key: PublicKey;
  /** Most data bytes of one command, default 239: what fits at every SCP03 level. */
  readonly blockBytes?: number;
  readonly cla?: number;
}

/** PUT KEY commands in order; an RSA key of 2048 bits needs two. @throws {CodedError} `GP_KEY`. */
export function putPublicKeyCommands(put: PutPublicKey): CommandApdu[] {
  const { newVersion, id, replaceVersion = 0, blockBytes = 239 } = put;
  const isNumber = (n: number, from: number) => Number.isInteger(n) && n >= from && n <= 0x7f;
  if (!isNumber(newVersion, 1) || !isNumber(replaceVersion, 0) || !isNumber(id, 1)) {
    throw new CodedError("GP_KEY", "Cannot put key: its version or identifier is not from 01 to 7F");
  }
  const data = concat(Uint8Array.of(newVersion), encodePublicKeyField(put.key));
  const count = Math.ceil(data.length / blockBytes);
  return Array.from({ length: count }, (_, number) =>
    command(
      put.cla ?? CLA_GP,
      INS_PUT_KEY,
      replaceVersion | (number < count - 1 ? P1_MORE_PUT_KEY : 0),
      id,
      data.slice(number * blockBytes, (number + 1) * blockBytes),
    ));
}

/** Key information lengths: two bytes each when one is beyond 255. */
export function needsExtendedInformation(components: readonly KeyComponentValue[]): boolean {
  return components.some(({ value }) => value.length > 0xff);
}
