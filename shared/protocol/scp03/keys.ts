/** SCP03 key derivation, cryptograms and the card's pseudo-random challenge. */

import { concat, writeUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { AES_KEY_LENGTHS, aesCmac } from "../../crypto/aes.ts";
import { DERIVATION, MODE_LENGTH, type Scp03Mode } from "./constants.ts";
import "./errors.ts";

/** A static key set: AES keys of one length (16, 24 or 32 bytes). The owner wipes it. */
export interface StaticKeys {
  readonly enc: Secret;
  readonly mac: Secret;
  readonly dek: Secret;
}

/** Session keys, each as long as the static key it comes from. */
export interface SessionKeys {
  /** S-ENC. */
  readonly enc: Secret;
  /** S-MAC. */
  readonly mac: Secret;
  /** S-RMAC. */
  readonly rmac: Secret;
}

const LABEL_ZEROS = 11;
const BLOCK_BITS = 128;

/**
 * The key derivation function in counter mode over AES-CMAC.
 * @param constant derivation constant, the last byte of the 12-byte label.
 * @param lengthBits length of the output: up to 256 bits.
 * @param context host challenge || card challenge, or sequence counter || AID.
 * @see Amd D v1.1.2, 4.1.5 (NIST SP 800-108).
 */
export function kdf(key: Uint8Array, constant: number, lengthBits: number, context: Uint8Array): Uint8Array {
  const blocks = Math.ceil(lengthBits / BLOCK_BITS);
  const input = concat(
    new Uint8Array(LABEL_ZEROS),
    Uint8Array.of(constant, 0x00),
    writeUint(lengthBits, 2),
    Uint8Array.of(0),
    context,
  );
  const output = new Uint8Array(blocks * 16);
  for (let i = 1; i <= blocks; i++) {
    input[LABEL_ZEROS + 4] = i;
    output.set(aesCmac(key, input), (i - 1) * 16);
  }
  return output.length * 8 === lengthBits ? output : output.slice(0, lengthBits / 8);
}

/**
 * Checks a key set.
 * @throws {CodedError} `SCP03_KEY_LENGTH` unless all three keys have one length of 16, 24 or 32 bytes.
 */
export function checkStaticKeys(keys: StaticKeys): void {
  const length = keys.enc.length;
  if (!AES_KEY_LENGTHS.includes(length) || keys.mac.length !== length || keys.dek.length !== length) {
    throw new CodedError("SCP03_KEY_LENGTH", "Cannot use key set: its keys are not AES keys of one length");
  }
}

/**
 * Derives the session keys.
 * @param hostChallenge 8 bytes (S8) or 16 (S16).
 * @param cardChallenge as long.
 * @throws {CodedError} `SCP03_KEY_LENGTH`, `SCP03_CHALLENGE_LENGTH`.
 * @see Amd D v1.1.2, 6.2.1.
 */
export function deriveSessionKeys(
  keys: StaticKeys,
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
): SessionKeys {
  checkStaticKeys(keys);
  checkChallenges(hostChallenge, cardChallenge);
  const context = concat(hostChallenge, cardChallenge);
  const bits = keys.enc.length * 8;
  return {
    enc: new Secret(kdf(keys.enc.reveal(), DERIVATION.S_ENC, bits, context)),
    mac: new Secret(kdf(keys.mac.reveal(), DERIVATION.S_MAC, bits, context)),
    rmac: new Secret(kdf(keys.mac.reveal(), DERIVATION.S_RMAC, bits, context)),
  };
}

function checkChallenges(hostChallenge: Uint8Array, cardChallenge: Uint8Array): void {
  const length = hostChallenge.length;
  if ((length !== 8 && length !== 16) || cardChallenge.length !== length) {
    throw new CodedError(
      "SCP03_CHALLENGE_LENGTH",
      `Cannot derive session: challenges of ${length} and ${cardChallenge.length} bytes`,
    );
  }
}

/** Overwrites a session's keys. */
export function wipeSessionKeys(keys: SessionKeys): void {
  keys.enc.wipe();
  keys.mac.wipe();
  keys.rmac.wipe();
}

/** Overwrites a static key set. */
export function wipeStaticKeys(keys: StaticKeys): void {
  keys.enc.wipe();
  keys.mac.wipe();
  keys.dek.wipe();
}

function cryptogram(
  sMac: Secret,
  constant: number,
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
): Uint8Array {
  checkChallenges(hostChallenge, cardChallenge);
  return kdf(sMac.reveal(), constant, hostChallenge.length * 8, concat(hostChallenge, cardChallenge));
}

/** The card's cryptogram, as long as a challenge. Amd D, 6.2.2.2. */
export function cardCryptogram(
  sMac: Secret,
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
): Uint8Array {
  return cryptogram(sMac, DERIVATION.CARD_CRYPTOGRAM, hostChallenge, cardChallenge);
}

/** The host's cryptogram, as long as a challenge. Amd D, 6.2.2.3. */
export function hostCryptogram(
  sMac: Secret,
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
): Uint8Array {
  return cryptogram(sMac, DERIVATION.HOST_CRYPTOGRAM, hostChallenge, cardChallenge);
}

/**
 * The card challenge of `i` bit `10`.
 * @param encKey static Key-ENC.
 * @param counter3 sequence counter after it advanced for this session (3 bytes).
 * @param aid AID of the selected application instance.
 * @returns 8 bytes (S8) or 16 (S16).
 * @see Amd D v1.1.2, 6.2.2.1.
 */
export function pseudoRandomCardChallenge(
  encKey: Secret,
  counter3: Uint8Array,
  aid: Uint8Array,
  mode: Scp03Mode = "S8",
): Uint8Array {
  return kdf(encKey.reveal(), DERIVATION.CARD_CHALLENGE, MODE_LENGTH[mode] * 8, concat(counter3, aid));
}
