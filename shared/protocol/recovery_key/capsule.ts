/**
 * The second secure channel: keys from the two ephemeral keys, and capsules. Spec/card.md, section 6.
 * Its weaknesses are the card's (section 9): the MAC covers neither IV nor header, the header MAC has no nonce.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, equalConstantTime } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { AES_BLOCK, aesCbcDecrypt, aesCbcEncrypt, padIso9797M2, unpadIso9797M2 } from "../../crypto/aes.ts";
import { PUBLIC_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import { CARD_SERIAL_LENGTH, HOST_SERIAL_LENGTH } from "./constants.ts";
import { joinPrefixed, requireLength } from "./length_prefixed.ts";
import "./errors.ts";

/** Keys of one session of the second channel; the owner wipes them. */
export interface CapsuleKeys {
  /** AES-256, 32 bytes. */
  readonly enc: Secret;
  /** HMAC-SHA256 key, 8 bytes. QUIRK(recovery-key): eight, see `mac_key_used` in b_backup.json. */
  readonly mac: Secret;
}

/** What the keys are derived from. */
export interface CapsuleContext {
  /** Uncompressed ECDH point of the two ephemeral keys, 65 bytes. */
  readonly sharedPoint: Uint8Array;
  /** 1 to 8 bytes. */
  readonly hostChallenge: Uint8Array;
  /** 8 bytes. */
  readonly cardChallenge: Uint8Array;
  /** 7 bytes. */
  readonly hostSerial: Uint8Array;
  /** 4 bytes. */
  readonly cardSerial: Uint8Array;
}

const FIXED_INFO_HEAD = Uint8Array.of(0x01, 0x00);
const MAC_KEY_LENGTH = 8;
const HMAC_LENGTH = 32;
const TAG_CIPHERTEXT = 0x10;
const TAG_MAC = 0x20;
const IV_OFFSET = 1;
const LENGTH_OFFSET = IV_OFFSET + AES_BLOCK;
const CIPHERTEXT_OFFSET = LENGTH_OFFSET + 1;
/** Longest ciphertext, in bytes: whole blocks under one length byte. */
const CIPHERTEXT_MAX = 240;

/** Longest plaintext of a capsule, in bytes. */
export const CAPSULE_PLAIN_MAX = CIPHERTEXT_MAX - 1;

/**
 * Derives both keys.
 * @throws {CodedError} `RK_FIELD` for a field of another length.
 */
export function deriveCapsuleKeys(context: CapsuleContext): CapsuleKeys {
  const z = requireLength("shared point", context.sharedPoint, PUBLIC_KEY_LENGTH);
  const fixedInfo = concat(
    FIXED_INFO_HEAD,
    joinPrefixed(
      context.hostChallenge,
      context.cardChallenge,
      requireLength("host serial", context.hostSerial, HOST_SERIAL_LENGTH),
      requireLength("card serial", context.cardSerial, CARD_SERIAL_LENGTH),
    ),
  );
  const block = (counter: number) => {
    const input = concat(Uint8Array.of(0, 0, 0, counter), z, fixedInfo);
    const digest = sha256(input);
    input.fill(0);
    return digest;
  };
  const macBlock = block(1);
  const macKey = macBlock.slice(0, MAC_KEY_LENGTH);
  macBlock.fill(0);
  return { enc: new Secret(block(0)), mac: new Secret(macKey) };
}

/** Overwrites both keys. */
export function wipeCapsuleKeys(keys: CapsuleKeys): void {
  keys.enc.wipe();
  keys.mac.wipe();
}

function mac(keys: CapsuleKeys, data: Uint8Array): Uint8Array {
  return hmac(sha256, keys.mac.reveal(), data);
}

/**
 * Seals a plaintext of up to 239 bytes.
 * @param iv 16 fresh random bytes.
 * @throws {CodedError} `RK_FIELD`.
 */
export function sealCapsule(keys: CapsuleKeys, plain: Uint8Array, iv: Uint8Array): Uint8Array {
  requireLength("IV", iv, AES_BLOCK);
  if (plain.length > CAPSULE_PLAIN_MAX) {
    throw new CodedError("RK_FIELD", `Cannot seal capsule: ${plain.length} bytes, over ${CAPSULE_PLAIN_MAX}`);
  }
  const padded = padIso9797M2(plain);
  const ciphertext = aesCbcEncrypt(keys.enc.reveal(), iv, padded);
  padded.fill(0);
  return concat(
    Uint8Array.of(TAG_CIPHERTEXT),
    iv,
    Uint8Array.of(ciphertext.length),
    ciphertext,
    Uint8Array.of(TAG_MAC),
    mac(keys, ciphertext),
  );
}

/**
 * Opens a capsule.
 * @throws {CodedError} `CAPSULE_MALFORMED` when it is no capsule, `CAPSULE_REFUSED` when MAC or padding is wrong,
 * whichever it is.
 */
export function openCapsule(keys: CapsuleKeys, capsule: Uint8Array): Uint8Array {
  const length = capsule[LENGTH_OFFSET] ?? 0;
  const macOffset = CIPHERTEXT_OFFSET + length;
  if (
    length === 0 || length % AES_BLOCK !== 0 || capsule.length !== macOffset + 1 + HMAC_LENGTH ||
    capsule[0] !== TAG_CIPHERTEXT || capsule[macOffset] !== TAG_MAC
  ) {
    throw new CodedError("CAPSULE_MALFORMED", `Cannot open capsule: ${capsule.length} bytes that are none`);
  }
  const ciphertext = capsule.subarray(CIPHERTEXT_OFFSET, macOffset);
  const refused = () => new CodedError("CAPSULE_REFUSED", "Cannot open capsule: it is not from this session");
  if (!equalConstantTime(mac(keys, ciphertext), capsule.subarray(macOffset + 1))) throw refused();
  const padded = aesCbcDecrypt(keys.enc.reveal(), capsule.subarray(IV_OFFSET, LENGTH_OFFSET), ciphertext);
  try {
    return unpadIso9797M2(padded);
  } catch {
    throw refused();
  } finally {
    padded.fill(0);
  }
}

/**
 * HMAC (32 bytes) over the four header bytes as sent, class `08`: the authorization of commands without capsule.
 * @param header CLA INS P1 P2.
 * @throws {CodedError} `RK_FIELD`.
 */
export function headerMac(keys: CapsuleKeys, header: Uint8Array): Uint8Array {
  return mac(keys, requireLength("header", header, 4));
}

/** Data field of such a command: `20` || header MAC. */
export function encodeHeaderMac(keys: CapsuleKeys, header: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(TAG_MAC), headerMac(keys, header));
}

/** Whether a data field is `20` || the right header MAC. */
export function verifyHeaderMac(keys: CapsuleKeys, header: Uint8Array, data: Uint8Array): boolean {
  return data[0] === TAG_MAC && equalConstantTime(headerMac(keys, header), data.subarray(1));
}
