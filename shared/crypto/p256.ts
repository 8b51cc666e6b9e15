/**
 * P-256 for signatures over packages: ECDSA with SHA-256. The release key and GlobalPlatform's DAP use it (GPC 2.3.1,
 * B.4.3). Public keys are uncompressed (65 bytes, first byte `04`), signatures DER or r || s (64 bytes).
 */

import { p256 } from "@noble/curves/nist.js";
import { CodedError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import "./errors.ts";

/** Length of a private key, in bytes. */
export const P256_PRIVATE_KEY_LENGTH = 32;
/** Length of an uncompressed public key, in bytes. */
export const P256_PUBLIC_KEY_LENGTH = 65;
/** Length of r || s, in bytes. */
export const P256_RAW_SIGNATURE_LENGTH = 64;
/** Longest DER signature, in bytes: two integers of 33 bytes. */
const DER_LENGTH_MAX = 72;

const ORDER = p256.Point.Fn.ORDER;
/** A draw fails with probability 2^-32; four failures in a row mean a broken generator. */
const DRAWS_MAX = 4;

/**
 * Draws a private key.
 * @param random source of `length` fresh bytes.
 * @throws {CodedError} `CRYPTO_KEY` when the source gives no usable number, that is, when it is broken.
 */
export function generateP256PrivateKey(random: (length: number) => Uint8Array): Secret {
  for (let draw = 0; draw < DRAWS_MAX; draw++) {
    const bytes = random(P256_PRIVATE_KEY_LENGTH);
    if (p256.utils.isValidSecretKey(bytes)) return new Secret(bytes);
  }
  throw new CodedError("CRYPTO_KEY", "Cannot draw private key: the random source is broken");
}

/** Public key (65) of a private key (32). @throws {CodedError} `CRYPTO_KEY`. */
export function p256PublicKeyOf(privateKey: Secret): Uint8Array {
  return p256.getPublicKey(privateBytes(privateKey), false);
}

/** Whether these are 65 bytes of an uncompressed point on the curve. */
export function isP256PublicKey(bytes: Uint8Array): boolean {
  return bytes.length === P256_PUBLIC_KEY_LENGTH && p256.utils.isValidPublicKey(bytes, false);
}

/** ECDSA of SHA-256(message), deterministic (RFC 6979), low-S, DER. @throws {CodedError} `CRYPTO_KEY`. */
export function p256Sign(privateKey: Secret, message: Uint8Array): Uint8Array {
  return p256.sign(message, privateBytes(privateKey), { format: "der", lowS: true });
}

/**
 * Whether `der` is a signature of `message` by the key; low-S and high-S. Anything that is not strict DER, a number out
 * of range and a key off the curve give `false`.
 * @param publicKey 65 bytes.
 * @param message unhashed.
 */
export function p256Verify(publicKey: Uint8Array, message: Uint8Array, der: Uint8Array): boolean {
  if (der.length > DER_LENGTH_MAX || !isP256PublicKey(publicKey)) return false;
  try {
    return p256.verify(der, message, publicKey, { format: "der", lowS: false });
  } catch {
    return false;
  }
}

/**
 * Whether `raw` (r || s, 64 bytes) is a signature of `message` by the key.
 * @param options `lowS`: refuse the other half of S, so that a signature has one form only. Default `false`: cards and
 *   tokens make both.
 */
export function p256VerifyRaw(
  publicKey: Uint8Array,
  message: Uint8Array,
  raw: Uint8Array,
  options: { readonly lowS?: boolean } = {},
): boolean {
  if (raw.length !== P256_RAW_SIGNATURE_LENGTH || !isP256PublicKey(publicKey)) return false;
  try {
    return p256.verify(raw, message, publicKey, { format: "compact", lowS: options.lowS ?? false });
  } catch {
    return false;
  }
}

/** r || s (64) of a DER signature. @throws {CodedError} `CRYPTO_SIGNATURE` unless it is strict DER. */
export function p256DerToRaw(der: Uint8Array): Uint8Array {
  try {
    return p256.Signature.fromBytes(der, "der").toBytes("compact");
  } catch {
    throw new CodedError("CRYPTO_SIGNATURE", `Cannot read signature: ${der.length} bytes that are not DER`);
  }
}

/** DER of r || s (64), S in the lower half of the order. @throws {CodedError} `CRYPTO_SIGNATURE`. */
export function p256RawToLowSDer(raw: Uint8Array): Uint8Array {
  try {
    const signature = p256.Signature.fromBytes(raw, "compact");
    const low = signature.hasHighS() ? new p256.Signature(signature.r, ORDER - signature.s) : signature;
    return low.toBytes("der");
  } catch {
    throw new CodedError(
      "CRYPTO_SIGNATURE",
      `Cannot read signature: ${raw.length} bytes that are not r || s`,
    );
  }
}

function privateBytes(key: Secret): Uint8Array {
  const bytes = key.reveal();
  if (!p256.utils.isValidSecretKey(bytes)) {
    throw new CodedError(
      "CRYPTO_KEY",
      "Cannot use private key: it is not a number from 1 to the curve's order",
    );
  }
  return bytes;
}
