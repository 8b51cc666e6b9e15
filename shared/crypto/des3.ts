/**
 * Two-key triple DES of whole blocks, for what older cards diversify their keys with. Never for anything new.
 * By node:crypto: noble has no DES. Deno's node:crypto offers CBC alone, so each block is encrypted by itself under a zero IV,
 * which is ECB.
 */

import { createCipheriv } from "node:crypto";
import { concat } from "../base/bytes.ts";
import { CodedError } from "../base/errors.ts";
import "./errors.ts";

/** Length of a DES block, in bytes. */
export const DES_BLOCK = 8;
/** Length of a two-key triple-DES key, in bytes. */
export const DES3_KEY_BYTES = 16;

/**
 * Triple DES (K1, K2, K1), ECB, without padding.
 * @param key 16 bytes.
 * @param data whole blocks of 8 bytes.
 * @throws {CodedError} `CRYPTO_LENGTH`.
 */
export function des3EcbEncrypt(key: Uint8Array, data: Uint8Array): Uint8Array {
  if (key.length !== DES3_KEY_BYTES) {
    throw new CodedError("CRYPTO_LENGTH", `Cannot use triple DES: key of ${key.length} bytes, not 16`);
  }
  if (data.length % DES_BLOCK !== 0) {
    throw new CodedError("CRYPTO_LENGTH", `Cannot use triple DES: ${data.length} bytes are no whole blocks`);
  }
  const full = concat(key, key.subarray(0, DES_BLOCK));
  try {
    const blocks: Uint8Array[] = [];
    for (let offset = 0; offset < data.length; offset += DES_BLOCK) {
      const cipher = createCipheriv("des-ede3-cbc", full, new Uint8Array(DES_BLOCK));
      cipher.setAutoPadding(false);
      blocks.push(new Uint8Array(cipher.update(data.subarray(offset, offset + DES_BLOCK))));
      cipher.final();
    }
    return concat(...blocks);
  } finally {
    full.fill(0);
  }
}
