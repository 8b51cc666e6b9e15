/** Key bytes that cannot be printed by accident and are wiped when they are no longer needed. */

import { equalConstantTime } from "./bytes.ts";

const INSPECT = Symbol.for("Deno.customInspect");
const NODE_INSPECT = Symbol.for("nodejs.util.inspect.custom");

/**
 * Owns secret bytes. Printing, JSON and string conversion give `[redacted]`.
 * JavaScript cannot promise that no copy was made by a library; `wipe` clears ours.
 */
export class Secret implements Disposable {
  #bytes: Uint8Array;

  /** Takes ownership of `bytes`: `wipe` clears them in place. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Length in bytes. */
  get length(): number {
    return this.#bytes.length;
  }

  /** The bytes themselves, not a copy: do not keep them. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  /** Constant-time comparison. */
  equals(other: Secret): boolean {
    return equalConstantTime(this.#bytes, other.#bytes);
  }

  /** Overwrites the bytes with zeros. */
  wipe(): void {
    this.#bytes.fill(0);
  }

  [Symbol.dispose](): void {
    this.wipe();
  }
  toString(): string {
    return "[redacted]";
  }
  toJSON(): string {
    return "[redacted]";
  }
  [INSPECT](): string {
    return "[redacted]";
  }
  [NODE_INSPECT](): string {
    return "[redacted]";
  }
}
