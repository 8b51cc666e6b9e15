/**
 * Ed25519 (RFC 8032) for checkpoints and cosignatures of logs. Public keys are 32 bytes, signatures 64. Verification is strict:
 * RFC 8032's own rules, not the laxer ones of ZIP 215, so that every verifier agrees on what a signed checkpoint is.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { CodedError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import "./errors.ts";

/** Length of a private key (RFC 8032's seed), in bytes. */
export const ED25519_PRIVATE_KEY_LENGTH = 32;
/** Length of a public key, in bytes. */
export const ED25519_PUBLIC_KEY_LENGTH = 32;
/** Length of a signature, in bytes. */
export const ED25519_SIGNATURE_LENGTH = 64;

/** Draws a private key; every 32 bytes are one. @param random source of `length` fresh bytes. */
export function generateEd25519PrivateKey(random: (length: number) => Uint8Array): Secret {
  return new Secret(random(ED25519_PRIVATE_KEY_LENGTH));
}

/** Public key (32) of a private key (32). @throws {CodedError} `CRYPTO_KEY`. */
export function ed25519PublicKeyOf(privateKey: Secret): Uint8Array {
  return ed25519.getPublicKey(privateBytes(privateKey));
}

/** Whether these are 32 bytes of a point of the curve that is not of small order. */
export function isEd25519PublicKey(bytes: Uint8Array): boolean {
  if (bytes.length !== ED25519_PUBLIC_KEY_LENGTH) return false;
  try {
    return !ed25519.Point.fromBytes(bytes).isSmallOrder();
  } catch {
    return false;
  }
}

/** Signature (64) of `message`, deterministic. @throws {CodedError} `CRYPTO_KEY`. */
export function ed25519Sign(privateKey: Secret, message: Uint8Array): Uint8Array {
  return ed25519.sign(message, privateBytes(privateKey));
}

/** Whether `signature` (64) is one of `message` by the key (32). Anything malformed gives `false`. */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== ED25519_SIGNATURE_LENGTH || !isEd25519PublicKey(publicKey)) return false;
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}

function privateBytes(key: Secret): Uint8Array {
  const bytes = key.reveal();
  if (bytes.length !== ED25519_PRIVATE_KEY_LENGTH) {
    throw new CodedError("CRYPTO_KEY", `Cannot use private key: it is ${bytes.length} bytes, not 32`);
  }
  return bytes;
}
