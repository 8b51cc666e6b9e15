/** The inner channel's keys and sealed values, on the card's side. Card page, section 6. */

import { concat, equalConstantTime } from "shared/base/bytes.ts";
import { aesCbcDecrypt, aesCbcEncrypt, padIso9797M2, unpadIso9797M2 } from "shared/crypto/aes.ts";
import { sha256 } from "@noble/hashes/sha2.js";
import { hmac } from "@noble/hashes/hmac.js";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import type { InnerChannelKeys } from "./volatile.ts";

const IV_LENGTH = 16;
const MAC_LENGTH = 32;
/** Bytes of the MAC key that the card uses. Yes, eight. */
const MAC_KEY_LENGTH = 8;

/** Derives both keys from the ECDH point and what both sides said. */
export function deriveInnerKeys(input: {
  readonly sharedPoint: Uint8Array;
  readonly hostChallenge: Uint8Array;
  readonly cardChallenge: Uint8Array;
  readonly hostSerial: Uint8Array;
  readonly cardSerial: Uint8Array;
}): InnerChannelKeys {
  const lengthValue = (value: Uint8Array) => concat(Uint8Array.of(value.length), value);
  const fixedInfo = concat(
    Uint8Array.of(0x01, 0x00),
    lengthValue(input.hostChallenge),
    lengthValue(input.cardChallenge),
    lengthValue(input.hostSerial),
    lengthValue(input.cardSerial),
  );
  const derive = (counter: number) =>
    sha256(concat(Uint8Array.of(0, 0, 0, counter), input.sharedPoint, fixedInfo));
  return { encryption: derive(0), mac: derive(1).slice(0, MAC_KEY_LENGTH) };
}

/** Opens a capsule; undefined when its layout, MAC or padding is wrong, whichever it was. */
export function openCapsule(keys: InnerChannelKeys, capsule: Uint8Array): Uint8Array | undefined {
  if (capsule[0] !== IV_LENGTH) return undefined;
  const iv = capsule.subarray(1, 1 + IV_LENGTH);
  const length = capsule[1 + IV_LENGTH];
  const start = 2 + IV_LENGTH;
  if (length === undefined || length === 0 || length % IV_LENGTH !== 0) return undefined;
  if (capsule.length !== start + length + 1 + MAC_LENGTH || capsule[start + length] !== MAC_LENGTH) {
    return undefined;
  }
  const ciphertext = capsule.subarray(start, start + length);
  const mac = hmac(sha256, keys.mac, ciphertext);
  if (!equalConstantTime(mac, capsule.subarray(start + length + 1))) return undefined;
  try {
    return unpadIso9797M2(aesCbcDecrypt(keys.encryption, iv, ciphertext));
  } catch {
    return undefined;
  }
}

/** Seals a value. @param iv 16 random bytes. */
export function sealCapsule(keys: InnerChannelKeys, iv: Uint8Array, plain: Uint8Array): Uint8Array {
  const ciphertext = aesCbcEncrypt(keys.encryption, iv, padIso9797M2(plain));
  return concat(
    Uint8Array.of(IV_LENGTH),
    iv,
    Uint8Array.of(ciphertext.length),
    ciphertext,
    Uint8Array.of(MAC_LENGTH),
    hmac(sha256, keys.mac, ciphertext),
  );
}

/** The MAC over CLA INS P1 P2 that commands without data carry. */
export function headerMac(keys: InnerChannelKeys, command: CommandApdu): Uint8Array {
  return hmac(sha256, keys.mac, Uint8Array.of(command.cla, command.ins, command.p1, command.p2));
}
