/** The key with which a seed's owner has a provider delete its share (spec/recover.md, section 4). */

import { sha256 } from "@noble/hashes/sha2.js";
import { HARDENED_OFFSET, HDKey } from "@scure/bip32";
import { readUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import "./errors.ts";

/** Second level of the path `m/0'/1818583154'/index'`. */
const PURPOSE = 1_818_583_154;
const INDEX_BITS_DROPPED = 1;

/** Index of a provider: the first 31 bits of SHA-256 of its static public key (65). */
export function deletionIndex(providerStatic: Uint8Array): number {
  return readUint(sha256(providerStatic).subarray(0, 4)) >>> INDEX_BITS_DROPPED;
}

/**
 * Private key (32) for one provider. It differs for each, so that providers cannot join their rows by it.
 * @param seed BIP39 seed of the wallet, 64 bytes. @param providerStatic 65 bytes.
 * @throws {CodedError} `RECOVER_FIELD` for a seed that BIP32 does not take.
 */
export function deletionKey(seed: Secret, providerStatic: Uint8Array): Secret {
  const levels: HDKey[] = [];
  const step = (node: HDKey) => {
    levels.push(node);
    return node;
  };
  try {
    const path = [0, PURPOSE, deletionIndex(providerStatic)];
    const last = path.reduce(
      (node, index) => step(node.deriveChild(HARDENED_OFFSET + index)),
      step(HDKey.fromMasterSeed(seed.reveal())),
    );
    return new Secret(last.privateKey!.slice());
  } catch {
    throw new CodedError("RECOVER_FIELD", `Cannot derive deletion key: the seed has ${seed.length} bytes`);
  } finally {
    for (const node of levels) node.wipePrivateData();
  }
}
