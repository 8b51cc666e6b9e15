/** Chance that repeats: every random decision of a fault run comes from one seed, which is printed. */

import { sha256 } from "@noble/hashes/sha2.js";
import { concat, toUtf8, writeUint } from "shared/base/bytes.ts";
import type { RandomSource } from "shared/transport/random.ts";

/** Seed of a run that was given none: the same in every build, so that a failure there is the same here. */
export const DEFAULT_SEED = "1";

/** The seed of this run: `--seed` of `rk test`, which arrives as RK_SEED, or the default. */
export function suiteSeed(): string {
  return Deno.env.get("RK_SEED") ?? DEFAULT_SEED;
}

/** Decisions drawn from a seed: SHA-256 in counter mode. Not for keys. */
export class Chance {
  readonly #seed: Uint8Array;
  #counter = 0;

  /** @param purpose Two purposes of one seed draw independently of each other. */
  constructor(seed: string, purpose: string) {
    this.#seed = sha256(toUtf8(`${seed}\0${purpose}`));
  }

  /** Bytes. */
  readonly bytes: RandomSource = (length) => {
    const parts: Uint8Array[] = [];
    for (let have = 0; have < length; have += 32) {
      parts.push(sha256(concat(this.#seed, writeUint(this.#counter++, 4))));
    }
    return concat(...parts).slice(0, length);
  };

  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number {
    const [a, b, c, d] = this.bytes(4) as unknown as [number, number, number, number];
    return ((a << 24 | b << 16 | c << 8 | d) >>> 0) % bound;
  }

  /** One of several. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  /** The same values in another order. */
  shuffled<T>(values: readonly T[]): T[] {
    const order = [...values];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}
