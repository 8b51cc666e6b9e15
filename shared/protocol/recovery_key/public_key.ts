/** The answer to GET PUBLIC KEY. Spec/card.md, section 4. */

import { isPublicKey, PUBLIC_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import { CodedError } from "../../base/errors.ts";
import { CARD_SERIAL_LENGTH } from "./constants.ts";
import { joinPrefixed, requireLength, SIGNATURE_FIELD, splitPrefixed } from "./length_prefixed.ts";

/** The card's new key, to be attested. */
export interface PublicKeyAnswer {
  /** 65 bytes, on the curve. */
  readonly publicKey: Uint8Array;
  /** 4 bytes. */
  readonly serial: Uint8Array;
  /** DER signature of `cardKeyMessage` by the key of DGI `8137`. Not checked here. */
  readonly signature: Uint8Array;
}

/** Reads the answer's data field. @throws {CodedError} `RK_MALFORMED`, also for a key that is off the curve. */
export function parsePublicKeyAnswer(data: Uint8Array): PublicKeyAnswer {
  const [publicKey, serial, signature] = splitPrefixed(data, [
    PUBLIC_KEY_LENGTH,
    CARD_SERIAL_LENGTH,
    SIGNATURE_FIELD,
  ]);
  if (!isPublicKey(publicKey)) {
    throw new CodedError("RK_MALFORMED", "Cannot read GET PUBLIC KEY answer: the key is not on the curve");
  }
  return { publicKey, serial, signature };
}

/** Writes the data field. @throws {CodedError} `RK_FIELD`. */
export function encodePublicKeyAnswer(answer: PublicKeyAnswer): Uint8Array {
  return joinPrefixed(
    requireLength("public key", answer.publicKey, PUBLIC_KEY_LENGTH),
    requireLength("card serial", answer.serial, CARD_SERIAL_LENGTH),
    answer.signature,
  );
}
