/**
 * secp256k1 for the card's certificates and its second channel: ECDSA with SHA-256 and DER signatures, plain
 * ECDH. Public keys and points are uncompressed (65 bytes, first byte `04`), private keys 32 bytes.
 */

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { CodedError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import "./errors.ts";

/** Length of a private key, in bytes. */
export const PRIVATE_KEY_LENGTH = 32;
/** Length of an uncompressed public key or point, in bytes. */
export const PUBLIC_KEY_LENGTH = 65;
/** Longest DER signature, in bytes: two integers of 33 bytes. */
export const SIGNATURE_LENGTH_MAX = 72;

const ORDER = secp256k1.Point.Fn.ORDER;
/** A draw fails with probability 2^-128; more failures mean a broken generator. */
const DRAWS_MAX = 4;

function privateBytes(key: Secret | Uint8Array): Uint8Array {
  const bytes = key instanceof Secret ? key.reveal() : key;
  if (!secp256k1.utils.isValidSecretKey(bytes)) {
    throw new CodedError(
      "CRYPTO_KEY",
      "Cannot use private key: it is not a number from 1 to the curve's order",
    );
  }
  return bytes;
}

/**
 * Draws a private key.
 * @param random source of `length` fresh bytes.
 * @throws {CodedError} `CRYPTO_KEY` when the source gives no usable number, that is, when it is broken.
 */
export function generatePrivateKey(random: (length: number) => Uint8Array): Secret {
  for (let draw = 0; draw < DRAWS_MAX; draw++) {
    const bytes = random(PRIVATE_KEY_LENGTH);
    if (secp256k1.utils.isValidSecretKey(bytes)) return new Secret(bytes);
  }
  throw new CodedError("CRYPTO_KEY", "Cannot draw private key: the random source is broken");
}

/** Public key (65) of a private key (32). @throws {CodedError} `CRYPTO_KEY`. */
export function publicKeyOf(privateKey: Secret | Uint8Array): Uint8Array {
  return secp256k1.getPublicKey(privateBytes(privateKey), false);
}

/** Whether these are 65 bytes of an uncompressed point on the curve. */
export function isPublicKey(bytes: Uint8Array): boolean {
  return bytes.length === PUBLIC_KEY_LENGTH && secp256k1.utils.isValidPublicKey(bytes, false);
}

/** ECDSA of SHA-256(message), deterministic (RFC 6979), low-S, DER. @throws {CodedError} `CRYPTO_KEY`. */
export function ecdsaSign(privateKey: Secret | Uint8Array, message: Uint8Array): Uint8Array {
  return secp256k1.sign(message, privateBytes(privateKey), { format: "der", lowS: true });
}

/**
 * Whether `der` is a signature of `message` by the key. Low-S and high-S are accepted: cards and tokens make
 * both. Anything that is not strict DER, a number out of range and a key off the curve give `false`.
 * @param publicKey 65 bytes.
 * @param message unhashed.
 */
export function ecdsaVerify(publicKey: Uint8Array, message: Uint8Array, der: Uint8Array): boolean {
  if (der.length > SIGNATURE_LENGTH_MAX || !isPublicKey(publicKey)) return false;
  try {
    return secp256k1.verify(der, message, publicKey, { format: "der", lowS: false });
  } catch {
    return false;
  }
}

/**
 * The same signature with S in the lower half of the order: PKCS#11 tokens give either half, and many
 * verifiers take only the lower one.
 * @throws {CodedError} `CRYPTO_SIGNATURE` unless it is strict DER.
 */
export function normalizeLowS(der: Uint8Array): Uint8Array {
  let signature;
  try {
    signature = secp256k1.Signature.fromBytes(der, "der");
  } catch {
    throw new CodedError("CRYPTO_SIGNATURE", `Cannot read signature: ${der.length} bytes that are not DER`);
  }
  if (!signature.hasHighS()) return der;
  return new secp256k1.Signature(signature.r, ORDER - signature.s).toBytes("der");
}

/** The same signature as R and S side by side (64 bytes), as JWS has it. @throws {CodedError} `CRYPTO_SIGNATURE`. */
export function compactSignature(der: Uint8Array): Uint8Array {
  try {
    return secp256k1.Signature.fromBytes(der, "der").toBytes("compact");
  } catch {
    throw new CodedError("CRYPTO_SIGNATURE", `Cannot read signature: ${der.length} bytes that are not DER`);
  }
}

/**
 * Whether R and S side by side (64 bytes) are a signature of `message` by the key (ES256K, RFC 8812). High-S is refused:
 * our tokens give none, and a second form of one signature serves nobody.
 * @param publicKey 65 bytes.
 */
export function compactVerify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isPublicKey(publicKey)) return false;
  try {
    return secp256k1.verify(signature, message, publicKey, { format: "compact", lowS: true });
  } catch {
    return false;
  }
}

/**
 * ECDH: the whole shared point (65), not its hash.
 * @throws {CodedError} `CRYPTO_POINT` for a public key off the curve, `CRYPTO_KEY` for a bad private key.
 */
export function ecdhPoint(privateKey: Secret | Uint8Array, publicKey: Uint8Array): Uint8Array {
  const key = privateBytes(privateKey);
  if (!isPublicKey(publicKey)) {
    throw new CodedError("CRYPTO_POINT", "Cannot agree on a key: the other public key is not on secp256k1");
  }
  return secp256k1.getSharedSecret(key, publicKey, false);
}

/**
 * The public keys (65 bytes each, at most two) that a signature of `message` can be by. One signature does not say which; two of
 * one key have it in common. SEC 1, 4.1.6.
 * @param der the signature, of SHA-256(message).
 * @throws {CodedError} `CRYPTO_SIGNATURE` unless it is strict DER.
 */
export function possibleSigners(message: Uint8Array, der: Uint8Array): Uint8Array[] {
  let signature;
  try {
    signature = secp256k1.Signature.fromBytes(der, "der");
  } catch {
    throw new CodedError("CRYPTO_SIGNATURE", `Cannot read signature: ${der.length} bytes that are not DER`);
  }
  const digest = sha256(message);
  return [0, 1].flatMap((bit) => {
    try {
      return [signature.addRecoveryBit(bit).recoverPublicKey(digest).toBytes(false)];
    } catch {
      // No point of the curve has this abscissa: it is by the other one, or by nobody.
      return [];
    }
  });
}
