/**
 * AES as the card protocols use it: CBC without padding, one ECB block, CMAC (RFC 4493) and the padding of
 * ISO/IEC 9797-1 method 2. Synchronous, because a secure channel wraps hundreds of commands a card. By noble:
 * Web Crypto is asynchronous and always pads, and Deno's node:crypto has no AES-192-CBC.
 */

import { cbc, cmac, ecb } from "@noble/ciphers/aes.js";
import { CodedError } from "../base/errors.ts";
import "./errors.ts";

/** Length of an AES block, in bytes. */
export const AES_BLOCK = 16;
/** Lengths of AES keys, in bytes. */
export const AES_KEY_LENGTHS: readonly number[] = [16, 24, 32];

const NO_PADDING = { disablePadding: true };

function checkKey(key: Uint8Array): void {
  if (!AES_KEY_LENGTHS.includes(key.length)) {
    throw new CodedError("CRYPTO_LENGTH", `Cannot use AES key: ${key.length} bytes, not 16, 24 or 32`);
  }
}

function checkBlocks(data: Uint8Array): void {
  if (data.length % AES_BLOCK !== 0) {
    throw new CodedError("CRYPTO_LENGTH", `Cannot use AES-CBC: ${data.length} bytes are no whole blocks`);
  }
}

function checkIv(iv: Uint8Array): void {
  if (iv.length !== AES_BLOCK) {
    throw new CodedError("CRYPTO_LENGTH", `Cannot use AES-CBC: IV of ${iv.length} bytes, not 16`);
  }
}

/**
 * AES-CBC without padding.
 * @param key 16, 24 or 32 bytes.
 * @param iv 16 bytes.
 * @param data whole blocks.
 * @throws {CodedError} `CRYPTO_LENGTH`.
 */
export function aesCbcEncrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  checkKey(key);
  checkIv(iv);
  checkBlocks(data);
  return cbc(key, iv, NO_PADDING).encrypt(data);
}

/** Inverse of `aesCbcEncrypt`, with the same lengths. @throws {CodedError} `CRYPTO_LENGTH`. */
export function aesCbcDecrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  checkKey(key);
  checkIv(iv);
  checkBlocks(data);
  return cbc(key, iv, NO_PADDING).decrypt(data);
}

/** AES of exactly one block of 16 bytes. @throws {CodedError} `CRYPTO_LENGTH`. */
export function aesEcbEncryptBlock(key: Uint8Array, block: Uint8Array): Uint8Array {
  checkKey(key);
  if (block.length !== AES_BLOCK) {
    throw new CodedError("CRYPTO_LENGTH", `Cannot encrypt block: ${block.length} bytes, not 16`);
  }
  return ecb(key, NO_PADDING).encrypt(block);
}

/** AES-CMAC (16 bytes). RFC 4493 and NIST SP 800-38B. @throws {CodedError} `CRYPTO_LENGTH`. */
export function aesCmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  checkKey(key);
  return cmac(data, key);
}

/** Appends `80` and zeros up to whole blocks; a full block when the data was whole. ISO/IEC 9797-1 method 2. */
export function padIso9797M2(data: Uint8Array, block: number = AES_BLOCK): Uint8Array {
  const padded = new Uint8Array(data.length + block - data.length % block);
  padded.set(data);
  padded[data.length] = 0x80;
  return padded;
}

/**
 * Removes the padding of `padIso9797M2`: zeros back to the last `80`. More zeros than needed are taken: the SCP03
 * card of the Samsung vectors (list_issuer_domain in scp_vectors.json) pads with a block too many.
 * @throws {CodedError} `CRYPTO_PADDING`, the same whatever is wrong with it.
 */
export function unpadIso9797M2(data: Uint8Array, block: number = AES_BLOCK): Uint8Array {
  let end = data.length - 1;
  while (end >= 0 && data[end] === 0) end--;
  if (data.length % block !== 0 || end < 0 || data[end] !== 0x80) {
    throw new CodedError("CRYPTO_PADDING", "Cannot remove padding: it is not ISO/IEC 9797-1 method 2");
  }
  return data.slice(0, end);
}
