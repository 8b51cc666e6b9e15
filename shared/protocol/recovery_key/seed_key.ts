/**
 * The key of VERIFY SEED, derived from the entropy as the card does it, and the answer that it signs. Spec/card.md,
 * section 4. It tells whether a card holds a seed without the seed leaving either side.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { concat, toUtf8, writeUint } from "../../base/bytes.ts";
import { Secret } from "../../base/secret.ts";
import { ecdsaVerify, PRIVATE_KEY_LENGTH, publicKeyOf } from "../../crypto/secp256k1.ts";
import { SIGNATURE_FIELD, splitPrefixed } from "./length_prefixed.ts";

const MASTER_KEY = toUtf8("Bitcoin seed");
/** Three hardened steps. */
const PATH: readonly number[] = [0x80000000, 0x82000000, 0x80000001];
/** QUIRK(recovery-key): half of the chain code keys a step, so this is not BIP32 (c_restore_manage.json, VERIFY SEED). */
const CHAIN_CODE_USED = 16;

const { Fn } = secp256k1.Point;

/** A number modulo the order: left halves may be larger than it. */
function scalar(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return Fn.create(value);
}

/** Private key (32) of VERIFY SEED. @param entropy 16, 24 or 32 bytes; it stays with the caller, who wipes the key. */
export function deriveSeedKey(entropy: Secret): Secret {
  let node = hmac(sha512, MASTER_KEY, entropy.reveal());
  for (const index of PATH) {
    const parent = node.subarray(0, PRIVATE_KEY_LENGTH);
    const chainCode = node.subarray(PRIVATE_KEY_LENGTH, PRIVATE_KEY_LENGTH + CHAIN_CODE_USED);
    const input = concat(Uint8Array.of(0), parent, writeUint(index, 4));
    const next = hmac(sha512, chainCode, input);
    next.set(Fn.toBytes(Fn.add(scalar(next.subarray(0, PRIVATE_KEY_LENGTH)), scalar(parent))));
    input.fill(0);
    node.fill(0);
    node = next;
  }
  const key = node.slice(0, PRIVATE_KEY_LENGTH);
  node.fill(0);
  return new Secret(key);
}

/** Signature in an opened VERIFY SEED answer: length || DER. @throws {CodedError} `RK_MALFORMED`. */
export function parseVerifySeedAnswer(plain: Uint8Array): Uint8Array {
  const [signature] = splitPrefixed(plain, [SIGNATURE_FIELD]);
  return signature;
}

/** Whether the signature over the challenge is by the key of this entropy. */
export function isSignedBySeed(entropy: Secret, challenge: Uint8Array, signature: Uint8Array): boolean {
  using key = deriveSeedKey(entropy);
  return ecdsaVerify(publicKeyOf(key), challenge, signature);
}
