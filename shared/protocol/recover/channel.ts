/**
 * The channel of Recover (spec/recover.md, section 2): two ephemeral keys agree on an AES-SIV-CMAC-256 key. Device and
 * orchestrator have one, device and each provider another inside it.
 */

import { aessiv } from "@noble/ciphers/aes.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { AES_BLOCK, aesEcbEncryptBlock } from "../../crypto/aes.ts";
import { ecdhPoint } from "../../crypto/secp256k1.ts";
import { LENGTH } from "./constants.ts";
import "./errors.ts";

const COUNTER = Uint8Array.of(0, 0, 0, 1);
const X_OFFSET = 1;
const X_LENGTH = 32;
const SECURITY_CODE_PREFIX = Uint8Array.of(0x06);
const SECURITY_CODE_DIGITS = 4;

/** One channel. It holds its key until `end`. */
export class RecoverChannel implements Disposable {
  readonly #key: Secret;

  /** @param key 32 bytes: k_MAC || k_ENC. Taken over. */
  constructor(key: Secret) {
    if (key.length !== LENGTH.CHANNEL_KEY) {
      throw new CodedError("RECOVER_FIELD", `Cannot open channel: its key has ${key.length} bytes`);
    }
    this.#key = key;
  }

  /**
   * Agrees on a key.
   * @param privateKey own ephemeral key (32). @param publicKey the other side's ephemeral key (65).
   * @throws {CodedError} `CRYPTO_POINT`, `CRYPTO_KEY`.
   */
  static agree(privateKey: Secret, publicKey: Uint8Array): RecoverChannel {
    const point = ecdhPoint(privateKey, publicKey);
    const secret = sha256(concat(point.subarray(X_OFFSET, X_OFFSET + X_LENGTH), COUNTER));
    try {
      const half = (fill: number) => aesEcbEncryptBlock(secret, new Uint8Array(AES_BLOCK).fill(fill));
      return new RecoverChannel(new Secret(concat(half(1), half(2))));
    } finally {
      point.fill(0);
      secret.fill(0);
    }
  }

  /** A copy of the key, 32 bytes, for who must take the channel up again later. The caller wipes it. */
  keep(): Secret {
    return new Secret(this.#key.reveal().slice());
  }

  /** Seals a message: SIV tag (16) || ciphertext. Equal messages give equal bytes: RFC 5297 without nonce. */
  seal(plain: Uint8Array): Uint8Array {
    return aessiv(this.#key.reveal()).encrypt(plain);
  }

  /** Opens a sealed message. @throws {CodedError} `RECOVER_SEALED`, whatever is wrong with it. */
  open(sealed: Uint8Array): Uint8Array {
    try {
      return aessiv(this.#key.reveal()).decrypt(sealed);
    } catch {
      throw new CodedError("RECOVER_SEALED", "Cannot open message: it was not sealed for this channel");
    }
  }

  /** The one-time security code that the device shows: four digits. Section 4. */
  securityCode(): string {
    const digest = sha256(concat(SECURITY_CODE_PREFIX, this.#key.reveal()));
    return [...digest.subarray(0, SECURITY_CODE_DIGITS)].map((byte) => byte % 10).join("");
  }

  /** Forgets the key. */
  end(): void {
    this.#key.wipe();
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
