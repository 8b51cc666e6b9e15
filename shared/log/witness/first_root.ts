/** The old root that a consistency proof leads to, whatever root was expected. */

import { nodeHash } from "../merkle.ts";

/**
 * Root of the tree of `first` leaves as a proof of consistency with `second` leaves has it (RFC 9162, 2.1.4.2). When the proof
 * verifies with it, this is the only root that the second tree can have had at that size.
 * @returns undefined when `first` is 0, not below `second`, or a power of two: then the proof does not hold the old root.
 */
export function firstRootOf(
  proof: readonly Uint8Array[],
  first: number,
  second: number,
): Uint8Array | undefined {
  if (first < 1 || first >= second || proof.length === 0) return undefined;
  let node = BigInt(first - 1);
  let last = BigInt(second - 1);
  while ((node & 1n) === 1n) {
    node >>= 1n;
    last >>= 1n;
  }
  if (node === 0n) return undefined;
  let before = proof[0]!;
  for (const sibling of proof.slice(1)) {
    if (last === 0n) return undefined;
    if ((node & 1n) === 1n || node === last) {
      before = nodeHash(sibling, before);
      while ((node & 1n) === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? before : undefined;
}
