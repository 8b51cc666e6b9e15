/**
 * The Merkle tree of a log: leaf and node hashes, roots, inclusion and consistency proofs (RFC 6962, section 2; the
 * verification as RFC 9162, 2.1.3.2 and 2.1.4.2 writes it down). Hashes are 32 bytes of SHA-256.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { concat, equal } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";

/** Length of a hash in bytes. */
export const HASH_LENGTH = 32;
/** Most hashes that a proof can have: a tree has at most 2^53 - 1 leaves here. */
export const PROOF_HASHES_MAX = 53;

const LEAF = Uint8Array.of(0x00);
const NODE = Uint8Array.of(0x01);

/** Hash of an entry. RFC 6962, 2.1. */
export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(concat(LEAF, entry));
}

/** Hash of an inner node. RFC 6962, 2.1. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concat(NODE, left, right));
}

/** Hash of the tree without leaves. RFC 6962, 2.1. */
export function emptyRoot(): Uint8Array {
  return sha256(new Uint8Array(0));
}

/** The largest power of two smaller than `size`; `size` is at least 2. */
function split(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

/** Root of the tree over these leaf hashes. */
export function treeRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return emptyRoot();
  let level = leaves;
  // Level by level; an odd last node moves up as it is, which is the same tree as the recursive definition.
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i + 1 < level.length; i += 2) above.push(nodeHash(level[i]!, level[i + 1]!));
    if (level.length % 2 === 1) above.push(level.at(-1)!);
    level = above;
  }
  return level[0]!;
}

/** Audit path of one leaf, lowest first. RFC 6962, 2.1.1. @throws {CodedError} `MERKLE_RANGE`. */
export function inclusionProof(index: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (!Number.isSafeInteger(index) || index < 0 || index >= leaves.length) {
    throw new CodedError("MERKLE_RANGE", `Cannot prove entry ${index}: the tree has ${leaves.length}`);
  }
  if (leaves.length === 1) return [];
  const left = split(leaves.length);
  return index < left
    ? [...inclusionProof(index, leaves.slice(0, left)), treeRoot(leaves.slice(left))]
    : [...inclusionProof(index - left, leaves.slice(left)), treeRoot(leaves.slice(0, left))];
}

/** Proof that the tree begins with the one of `first` leaves. RFC 6962, 2.1.2. @throws {CodedError} `MERKLE_RANGE`. */
export function consistencyProof(first: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (!Number.isSafeInteger(first) || first < 0 || first > leaves.length) {
    throw new CodedError("MERKLE_RANGE", `Cannot prove size ${first}: the tree has ${leaves.length}`);
  }
  return first === 0 ? [] : subproof(first, leaves, true);
}

function subproof(first: number, leaves: readonly Uint8Array[], whole: boolean): Uint8Array[] {
  if (first === leaves.length) return whole ? [] : [treeRoot(leaves)];
  const left = split(leaves.length);
  return first <= left
    ? [...subproof(first, leaves.slice(0, left), whole), treeRoot(leaves.slice(left))]
    : [...subproof(first - left, leaves.slice(left), false), treeRoot(leaves.slice(0, left))];
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function areHashes(hashes: readonly Uint8Array[]): boolean {
  return hashes.length <= PROOF_HASHES_MAX && hashes.every((hash) => hash.length === HASH_LENGTH);
}

/** Whether `proof` shows that the tree of `size` and `root` has `leaf` (its hash) at `index`. RFC 9162, 2.1.3.2. */
export function verifyInclusion(
  proof: readonly Uint8Array[],
  index: number,
  size: number,
  leaf: Uint8Array,
  root: Uint8Array,
): boolean {
  if (!isSize(index) || !isSize(size) || index >= size) return false;
  if (!areHashes([leaf, root]) || !areHashes(proof)) return false;
  let node = BigInt(index);
  let last = BigInt(size - 1);
  let hash = leaf;
  for (const sibling of proof) {
    if (last === 0n) return false;
    if ((node & 1n) === 1n || node === last) {
      hash = nodeHash(sibling, hash);
      while ((node & 1n) === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n && equal(hash, root);
}

/**
 * Whether `proof` shows that the tree of `second` leaves begins with that of `first`, which is at least 1: from the empty
 * tree there is nothing to show. RFC 9162, 2.1.4.2.
 */
export function verifyConsistency(
  proof: readonly Uint8Array[],
  first: number,
  second: number,
  firstRoot: Uint8Array,
  secondRoot: Uint8Array,
): boolean {
  if (!isSize(first) || !isSize(second) || first > second) return false;
  if (first === second) return first > 0 && proof.length === 0 && equal(firstRoot, secondRoot);
  if (!areHashes([firstRoot, secondRoot]) || !areHashes(proof)) return false;
  // The empty tree is a beginning of every tree: a proof from it would show nothing, so there is none.
  if (first === 0) return false;
  if (proof.length === 0) return false;
  let node = BigInt(first - 1);
  let last = BigInt(second - 1);
  while ((node & 1n) === 1n) {
    node >>= 1n;
    last >>= 1n;
  }
  // A first size that is a power of two is a node of the second tree by itself.
  const path = node === 0n ? [firstRoot, ...proof] : proof;
  let before = path[0]!;
  let after = path[0]!;
  for (const sibling of path.slice(1)) {
    if (last === 0n) return false;
    if ((node & 1n) === 1n || node === last) {
      before = nodeHash(sibling, before);
      after = nodeHash(sibling, after);
      while ((node & 1n) === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      after = nodeHash(after, sibling);
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n && equal(before, firstRoot) && equal(after, secondRoot);
}

defineErrors({
  MERKLE_RANGE: {
    fault: "usage",
    retry: false,
    next: "Ask for an entry or a size that the tree has.",
  },
});
