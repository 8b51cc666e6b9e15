/** Key check values of AES keys. */

import type { Secret } from "../../base/secret.ts";
import { aesEcbEncryptBlock } from "../../crypto/aes.ts";

/** Length of a key check value, in bytes. */
export const KEY_CHECK_VALUE_LENGTH = 3;

/**
 * Key check value (3 bytes): the start of the encryption of sixteen bytes `01`. GPC 2.3.1, B.6.
 * @throws {CodedError} `CRYPTO_LENGTH` unless the key has 16, 24 or 32 bytes.
 */
export function keyCheckValue(key: Secret | Uint8Array): Uint8Array {
  const bytes = key instanceof Uint8Array ? key : key.reveal();
  return aesEcbEncryptBlock(bytes, new Uint8Array(16).fill(0x01)).slice(0, KEY_CHECK_VALUE_LENGTH);
}
