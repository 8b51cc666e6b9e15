/** The seed as words: BIP39, English list, 12, 18 or 24 words. The library is @scure/bip39. */

import { entropyToMnemonic, mnemonicToEntropy, mnemonicToSeedSync } from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { hmac } from "@noble/hashes/hmac.js";
import { ripemd160 } from "@noble/hashes/legacy.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { fromUtf8, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { ENTROPY_LENGTHS } from "shared/protocol/recovery_key/commands.ts";
import type { RandomSource } from "shared/transport/random.ts";
import "./errors.ts";

/** Word counts that a card can keep. */
export const WORD_COUNTS = [12, 18, 24] as const;
/** One of them. */
export type WordCount = typeof WORD_COUNTS[number];

/** How many words an entropy of this many bytes is: 3 for each 4 bytes. BIP39, "Generating the mnemonic". */
export function wordCountOf(entropyBytes: number): WordCount {
  return (entropyBytes / 4 * 3) as WordCount;
}

/** Draws the entropy of a new seed. */
export function drawEntropy(words: WordCount, random: RandomSource): Secret {
  return new Secret(random(words / 3 * 4));
}

/**
 * Reads typed words: any spaces and either case.
 * @param typed UTF-8; it stays with the caller.
 * @throws {CodedError} `WALLET_WORDS`; no word is repeated in the message.
 */
export function readWords(typed: Secret): Secret {
  const refused = (why: string) => new CodedError("WALLET_WORDS", `Cannot use words: ${why}`);
  let words: string[];
  try {
    words = fromUtf8(typed.reveal()).trim().toLowerCase().split(/\s+/);
  } catch {
    throw refused("they are not text");
  }
  if (!WORD_COUNTS.some((count) => count === words.length)) throw refused(`there are ${words.length}`);
  const unknown = words.findIndex((word) => !wordlist.includes(word));
  if (unknown >= 0) throw refused(`word ${unknown + 1} is not in the list`);
  let entropy: Uint8Array;
  try {
    entropy = mnemonicToEntropy(words.join(" "), wordlist);
  } catch {
    throw refused("their checksum is wrong, so a word or the order is");
  }
  // The library gives no other lengths for these counts.
  if (!ENTROPY_LENGTHS.includes(entropy.length)) throw refused(`they are ${entropy.length} bytes`);
  return new Secret(entropy);
}

/** The words of an entropy, as bytes so that they can be wiped. */
export function wordsOf(entropy: Secret): Secret {
  return new Secret(toUtf8(entropyToMnemonic(entropy.reveal(), wordlist)));
}

/**
 * The master key fingerprint that other wallets show for these words without passphrase (8 digits of hex): says whether two
 * wallets have one seed. BIP32, "Key identifiers".
 */
export function seedFingerprint(entropy: Secret): string {
  const seed = mnemonicToSeedSync(entropyToMnemonic(entropy.reveal(), wordlist));
  const master = hmac(sha512, toUtf8("Bitcoin seed"), seed);
  try {
    const publicKey = secp256k1.getPublicKey(master.subarray(0, 32), true);
    return toHex(ripemd160(sha256(publicKey)).subarray(0, 4));
  } finally {
    seed.fill(0);
    master.fill(0);
  }
}
