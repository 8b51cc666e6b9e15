/**
 * What the card asks of its crypto coprocessor. A port, because a recorded card drew other random numbers and
 * keys than this one will: given the recorded values the same card answers the recorded bytes.
 */

import { ecdhPoint, ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { Secret } from "shared/base/secret.ts";
import { type RandomSource, SYSTEM_RANDOM } from "shared/transport/random.ts";

/** A secp256k1 key pair. */
export interface CardKeyPair {
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
  /** Uncompressed point, 65 bytes. */
  readonly publicKey: Uint8Array;
}

/** The card's coprocessor. */
export interface CardCrypto {
  /** Fresh random bytes. */
  random(length: number): Uint8Array;
  /** A fresh key pair. */
  generateKeyPair(): CardKeyPair;
  /** ECDSA with SHA-256, DER. */
  sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array;
  /** Uncompressed ECDH point, 65 bytes. @throws when the public key is not on the curve. */
  sharedPoint(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array;
}

/** The coprocessor over noble's secp256k1 and a source of randomness. */
export function softwareCardCrypto(random: RandomSource = SYSTEM_RANDOM): CardCrypto {
  return {
    random,
    generateKeyPair() {
      const privateKey = generatePrivateKey(random);
      return { privateKey: privateKey.reveal().slice(), publicKey: publicKeyOf(privateKey) };
    },
    sign: (privateKey, message) => ecdsaSign(new Secret(privateKey), message),
    sharedPoint: (privateKey, publicKey) => ecdhPoint(new Secret(privateKey), publicKey),
  };
}
