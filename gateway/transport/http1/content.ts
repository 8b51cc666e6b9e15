/**
 * The content of a body, put together from its chunks: passing each chunk on alone would let a client make a write, and an object, of
 * every byte that it sends.
 */

import { Buffer } from "node:buffer";

/** Content that was read at once. */
export class Content {
  #first: Uint8Array | undefined;
  #joined: Buffer | undefined;
  length = 0;

  /** @param most Bytes that it may have. */
  constructor(readonly most: number) {}

  /** Adds a chunk; a view of what was read is enough. */
  add(chunk: Uint8Array): void {
    if (this.#first === undefined) this.#first = chunk;
    else {
      if (this.#joined === undefined) {
        this.#joined = Buffer.allocUnsafe(this.most);
        this.#joined.set(this.#first);
      }
      this.#joined.set(chunk, this.length);
    }
    this.length += chunk.length;
  }

  /** All of it; nothing is copied that came in one piece. */
  get bytes(): Uint8Array {
    return this.#joined?.subarray(0, this.length) ?? this.#first ?? EMPTY;
  }
}

const EMPTY = new Uint8Array(0);
