/** Data groupings of STORE DATA that make an applet a card with a serial. Spec/card.md, section 7, step 4. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import type { Secret } from "../../base/secret.ts";
import { isPublicKey, PRIVATE_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import { encodeDgi } from "../tlv/dgi.ts";
import { encodeSimple } from "../tlv/simple.ts";
import {
  CARD_SERIAL_LENGTH,
  CURVE_SECP256K1,
  DGI_CARD_PRIVATE_KEY,
  DGI_CARD_SERIAL,
  DGI_ISSUER_PUBLIC_KEY,
  DGI_KEY_REFERENCE,
  KEY_REFERENCE_TAG,
  KEY_TYPE,
  KEY_USAGE,
} from "./constants.ts";
import { requireLength } from "./length_prefixed.ts";
import "./errors.ts";

/** What a key control reference template says. */
export interface KeyReference {
  /** `02` sign, `80` verify. */
  readonly usage: number;
  /** `B1` private, `B0` public. */
  readonly type: number;
  /** Key length in bytes, `20` or `41`. */
  readonly length: number;
  /** `01` or `0B`. */
  readonly version: number;
}

/** The reference of the key in DGI `8137`, as recorded. */
export const CARD_PRIVATE_KEY_REFERENCE: KeyReference = {
  usage: KEY_USAGE.SIGN,
  type: KEY_TYPE.PRIVATE,
  length: PRIVATE_KEY_LENGTH,
  version: 0x01,
};

/** DGI `00B9`. QUIRK(recovery-key): no length byte (STORE DATA 00B9 in a_personalization.json). */
export function keyReferenceDgi(reference: KeyReference): Uint8Array {
  const byte = (tag: number, value: number) => encodeSimple(tag, Uint8Array.of(value));
  const value = concat(
    byte(KEY_REFERENCE_TAG.USAGE, reference.usage),
    byte(KEY_REFERENCE_TAG.TYPE, reference.type),
    byte(KEY_REFERENCE_TAG.LENGTH, reference.length),
    byte(KEY_REFERENCE_TAG.CURVE, CURVE_SECP256K1),
    byte(KEY_REFERENCE_TAG.VERSION, reference.version),
  );
  return encodeDgi(DGI_KEY_REFERENCE, value, { lengthByte: false });
}

/** DGI `0002`. @param serial 4 bytes. @throws {CodedError} `RK_FIELD`. */
export function cardSerialDgi(serial: Uint8Array): Uint8Array {
  return encodeDgi(DGI_CARD_SERIAL, requireLength("card serial", serial, CARD_SERIAL_LENGTH));
}

/** DGI `8137`: a private key in the clear; wipe it. @param privateKey 32 bytes. @throws {CodedError} `RK_FIELD`. */
export function cardPrivateKeyDgi(privateKey: Secret): Uint8Array {
  return encodeDgi(
    DGI_CARD_PRIVATE_KEY,
    requireLength("card private key", privateKey.reveal(), PRIVATE_KEY_LENGTH),
  );
}

/**
 * DGI `0036`. The card stores a point off the curve as gladly, so it is checked here.
 * @param publicKey 65 bytes. @throws {CodedError} `RK_FIELD`.
 */
export function issuerPublicKeyDgi(publicKey: Uint8Array): Uint8Array {
  if (!isPublicKey(publicKey)) {
    throw new CodedError("RK_FIELD", "Cannot personalize card: the issuer key is not on secp256k1");
  }
  return encodeDgi(DGI_ISSUER_PUBLIC_KEY, publicKey);
}

/**
 * Every grouping, one for each STORE DATA command, in the recorded order. The third is a private key in the
 * clear: wipe it after use.
 * @param values serial 4 bytes, private key of DGI `8137` 32 bytes, issuer public key 65 bytes.
 * @throws {CodedError} `RK_FIELD`.
 */
export function personalizationData(
  values: { serial: Uint8Array; attestationKey: Secret; issuerPublicKey: Uint8Array },
): Uint8Array[] {
  return [
    keyReferenceDgi(CARD_PRIVATE_KEY_REFERENCE),
    cardSerialDgi(values.serial),
    cardPrivateKeyDgi(values.attestationKey),
    issuerPublicKeyDgi(values.issuerPublicKey),
  ];
}
