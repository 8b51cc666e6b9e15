/** Encryption of the entropy before it is shared (spec/recover.md, section 3): AES-256-CBC under the key that all devices have. */

import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { AES_BLOCK, aesCbcDecrypt, aesCbcEncrypt } from "../../crypto/aes.ts";
import { WORDS } from "./constants.ts";
import "./errors.ts";

/** Length of encrypted entropy in bytes, whatever the number of words. */
export const ENCRYPTED_ENTROPY_LENGTH = 32;
const ENTROPY_LENGTHS: readonly number[] = [...WORDS.values()];
/** Bytes by which the entropies of 12, 18 and 24 words differ in length. */
const WORDS_STEP = 8;
// Each entropy is encrypted under one key only once, so the vector carries nothing.
const ZERO_VECTOR = new Uint8Array(AES_BLOCK);

/** Number of words of an entropy of this many bytes. @throws {CodedError} `RECOVER_ENTROPY`. */
export function wordsOf(entropyLength: number): number {
  for (const [words, length] of WORDS) if (length === entropyLength) return words;
  throw new CodedError("RECOVER_ENTROPY", `Cannot share entropy: ${entropyLength} bytes`);
}

/**
 * Whether an entropy could be the padded one of fewer words. The number of words crosses under no provider's seal: a hostile
 * orchestrator that says 24 for 12 would have a device restore a wrong seed. An honest draw ends so once in 2^64.
 */
function isAmbiguous(entropy: Uint8Array): boolean {
  const shortest = Math.min(...ENTROPY_LENGTHS);
  return entropy.length > shortest && entropy.subarray(-WORDS_STEP).every((byte) => byte === 0);
}

/**
 * Encrypts entropy (16, 24 or 32 bytes), right-padded with zeros to 32.
 * @param key 32 bytes. @throws {CodedError} `RECOVER_ENTROPY`.
 */
export function encryptEntropy(key: Secret, entropy: Secret): Secret {
  if (!ENTROPY_LENGTHS.includes(entropy.length)) {
    throw new CodedError("RECOVER_ENTROPY", `Cannot share entropy: ${entropy.length} bytes`);
  }
  if (isAmbiguous(entropy.reveal())) {
    throw new CodedError(
      "RECOVER_ENTROPY",
      "Cannot share entropy: it ends like the padded one of fewer words",
    );
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
    if (isAmbiguous(plain.subarray(0, length))) {
      throw new CodedError("RECOVER_ENTROPY", `Cannot restore entropy: it is not one of ${words} words`);
    }
    if (plain.subarray(length).some((byte) => byte !== 0)) {
      throw new CodedError("RECOVER_ENTROPY", "Cannot restore entropy: it was encrypted under another key");
    }
    return new Secret(plain.slice(0, length));
  } finally {
    plain.fill(0);
  }
}
