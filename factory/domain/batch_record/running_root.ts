/** The root of a Merkle tree whose leaves come one after the other: memory for its height, not for its leaves. */

import { emptyRoot, nodeHash } from "shared/log/merkle.ts";

/** A tree that grows; RFC 6962, 2.1. */
export class RunningRoot {
  /** Roots of the complete subtrees, largest first: as many as `size` has binary ones. */
  readonly #roots: Uint8Array[] = [];
  #size = 0;

  /** Leaves so far. */
  get size(): number {
    return this.#size;
  }

  /** Adds the hash of the next leaf (32 bytes). */
  add(leafHash: Uint8Array): void {
    let hash = leafHash;
    // Two complete subtrees of one height become one, as a carry runs through a binary counter.
    for (let rest = this.#size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
      hash = nodeHash(this.#roots.pop()!, hash);
    }
    this.#roots.push(hash);
    this.#size++;
  }

  /** Root of the leaves so far (32 bytes). */
  root(): Uint8Array {
    if (this.#size === 0) return emptyRoot();
    return this.#roots.reduceRight((right, left) => nodeHash(left, right));
  }
}
