/** Fixed byte layouts as data: encoder and decoder come from one declaration. */

import { CodedError, defineErrors } from "./errors.ts";

defineErrors({
  LAYOUT_LENGTH: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "The other side sent a message of another length than its specification says.",
  },
});

/** A fixed layout: named fields with their lengths in bytes, in order. */
export interface Layout<F extends string> {
  /** Total length in bytes. */
  readonly length: number;
  /** Cuts bytes into fields (copies). @throws {CodedError} `LAYOUT_LENGTH` unless exactly `length` bytes. */
  decode(bytes: Uint8Array): Record<F, Uint8Array>;
  /** Joins fields. @throws {CodedError} `LAYOUT_LENGTH` when a field has another length. */
  encode(fields: Record<F, Uint8Array>): Uint8Array;
}

/** Declares a layout; `total` repeats the sum so that a slip in a field length is caught at start. */
export function layout<F extends string>(total: number, fields: Record<F, number>): Layout<F> {
  const entries = Object.entries(fields) as [F, number][];
  const sum = entries.reduce((length, [, size]) => length + size, 0);
  if (sum !== total) throw new Error(`Cannot declare layout: fields sum to ${sum}, not ${total}`);
  return {
    length: total,
    decode(bytes) {
      if (bytes.length !== total) {
        throw new CodedError("LAYOUT_LENGTH", `Cannot read message: ${bytes.length} bytes, not ${total}`);
      }
      const decoded = {} as Record<F, Uint8Array>;
      let offset = 0;
      for (const [name, size] of entries) {
        decoded[name] = bytes.slice(offset, offset + size);
        offset += size;
      }
      return decoded;
    },
    encode(values) {
      const bytes = new Uint8Array(total);
      let offset = 0;
      for (const [name, size] of entries) {
        if (values[name].length !== size) {
          throw new CodedError(
            "LAYOUT_LENGTH",
            `Cannot write field ${name}: ${values[name].length} bytes, not ${size}`,
          );
        }
        bytes.set(values[name], offset);
        offset += size;
      }
      return bytes;
    },
  };
}
