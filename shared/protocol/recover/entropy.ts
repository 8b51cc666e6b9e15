/** Encryption of the entropy before it is shared (spec/recover.md, section 3): AES-256-CBC under the key that all devices have. */

import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { AES_BLOCK, aesCbcDecrypt, aesCbcEncrypt } from "../../crypto/aes.ts";
import { WORDS } from "./constants.ts";
import "./errors.ts";

/** Length of encrypted entropy in bytes, whatever the number of words. */
export const ENCRYPTED_ENTROPY_LENGTH = 32;
const ENTROPY_LENGTHS: readonly number[] = [...WORDS.values()];
// Each entropy is encrypted under one key only once, so the vector carries nothing.
const ZERO_VECTOR = new Uint8Array(AES_BLOCK);

/** Number of words of an entropy of this many bytes. @throws {CodedError} `RECOVER_ENTROPY`. */
export function wordsOf(entropyLength: number): number {
  for (const [words, length] of WORDS) if (length === entropyLength) return words;
  throw new CodedError("RECOVER_ENTROPY", `Cannot share entropy: ${entropyLength} bytes`);
}

/**
 * Encrypts entropy (16, 24 or 32 bytes), right-padded with zeros to 32.
 * @param key 32 bytes. @throws {CodedError} `RECOVER_ENTROPY`.
 */
export function encryptEntropy(key: Secret, entropy: Secret): Secret {
  if (!ENTROPY_LENGTHS.includes(entropy.length)) {
    throw new CodedError("RECOVER_ENTROPY", `Cannot share entropy: ${entropy.length} bytes`);
  }
  const padded = new Uint8Array(ENCRYPTED_ENTROPY_LENGTH);
  padded.set(entropy.reveal());
  try {
    return new Secret(aesCbcEncrypt(key.reveal(), ZERO_VECTOR, padded));
  } finally {
    padded.fill(0);
  }
}

/**
 * Decrypts what `encryptEntropy` made.
 * @param words 12, 18 or 24, as the providers kept it beside the share.
 * @throws {CodedError} `RECOVER_ENTROPY` for another number, or when the padding is not zero: another key, or another number of words.
 */
export function decryptEntropy(key: Secret, encrypted: Secret, words: number): Secret {
  const length = WORDS.get(words);
  if (length === undefined || encrypted.length !== ENCRYPTED_ENTROPY_LENGTH) {
    throw new CodedError("RECOVER_ENTROPY", `Cannot restore entropy of ${words} words`);
  }
  const plain = aesCbcDecrypt(key.reveal(), ZERO_VECTOR, encrypted.reveal());
  try {
    if (plain.subarray(length).some((byte) => byte !== 0)) {
      throw new CodedError("RECOVER_ENTROPY", "Cannot restore entropy: it was encrypted under another key");
    }
    return new Secret(plain.slice(0, length));
  } finally {
    plain.fill(0);
  }
}
