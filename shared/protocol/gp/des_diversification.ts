/**
 * EMV and VISA2 diversification: a card's static keys from a master key by two-key triple DES.
 * Each key is 3DES-ECB(master, x || F0 || kk || x || 0F || kk); x is six bytes of the key diversification data, kk is 1 for ENC,
 * 2 for MAC, 3 for DEK. Sources: EMV Card Personalization Specification 1.1, 4.1; Visa GlobalPlatform 2.1.1 Card
 * Implementation Requirements. The keys are 16 bytes: triple DES at an SCP02 card, AES-128 at an SCP03 card.
 */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { DES3_KEY_BYTES, des3EcbEncrypt, DES_BLOCK } from "../../crypto/des3.ts";
import { KEY_DIVERSIFICATION_DATA_LENGTH } from "../scp03/diversification.ts";
import { KEY_CHECK_VALUE_LENGTH } from "../scp03/key_check_value.ts";
import type { StaticKeys } from "../scp03/keys.ts";
import "./errors.ts";

/** Schemes over triple DES. */
export type DesDiversification = "emv" | "visa2";

/** The six bytes of the diversification data that tell one card from another. */
const CARD_PART: Readonly<Record<DesDiversification, (kdd: Uint8Array) => Uint8Array>> = {
  emv: (kdd) => kdd.subarray(4, 10),
  visa2: (kdd) => concat(kdd.subarray(0, 2), kdd.subarray(4, 8)),
};

const KEY_NUMBER = { enc: 1, mac: 2, dek: 3 } as const;

/**
 * A card's static keys.
 * @param master 16 bytes.
 * @param kdd key diversification data of INITIALIZE UPDATE, 10 bytes.
 * @throws {CodedError} `GP_DIVERSIFICATION` for other lengths.
 */
export function diversifyDes(scheme: DesDiversification, master: Secret, kdd: Uint8Array): StaticKeys {
  if (master.length !== DES3_KEY_BYTES || kdd.length !== KEY_DIVERSIFICATION_DATA_LENGTH) {
    throw new CodedError(
      "GP_DIVERSIFICATION",
      `Cannot diversify keys: master of ${master.length} bytes, not 16, or KDD of ${kdd.length}, not 10`,
    );
  }
  const part = CARD_PART[scheme](kdd);
  const derive = (number: number) => {
    const data = concat(part, Uint8Array.of(0xf0, number), part, Uint8Array.of(0x0f, number));
    return new Secret(des3EcbEncrypt(master.reveal(), data));
  };
  return { enc: derive(KEY_NUMBER.enc), mac: derive(KEY_NUMBER.mac), dek: derive(KEY_NUMBER.dek) };
}

/** Key check value of a triple-DES key: the start of the encryption of eight zero bytes. GPC 2.3.1, B.6. */
export function desKeyCheckValue(key: Secret): Uint8Array {
  return des3EcbEncrypt(key.reveal(), new Uint8Array(DES_BLOCK)).slice(0, KEY_CHECK_VALUE_LENGTH);
}
