/**
 * The vpcd protocol, in vpcd's role: a message is a 2-byte big-endian length and that many bytes. A one-byte
 * message to the card is a control; anything longer is a command APDU. Only ATR and commands are answered.
 */

import { concat, writeUint } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";

/** Controls, reader to card. */
export const CONTROL = { powerOff: 0, powerOn: 1, reset: 2, atr: 4 } as const;

/** Longest message, in bytes: what the length prefix can say. Longer commands cannot reach a vpcd card. */
export const FRAME_MAX = 65_535;

/** A message with its length. @throws {CodedError} `VPCD_FRAME` for more than 65,535 bytes. */
export function encodeFrame(message: Uint8Array): Uint8Array {
  if (message.length > FRAME_MAX) {
    throw new CodedError(
      "VPCD_FRAME",
      `Cannot send message: ${message.length} bytes, at most ${FRAME_MAX} fit`,
    );
  }
  return concat(writeUint(message.length, 2), message);
}

/** Cuts a byte stream into messages, however the network cut it. Holds one unfinished message at most. */
export class FrameReader {
  #buffer = new Uint8Array(2 + FRAME_MAX);
  #filled = 0;

  /** Takes the bytes that came and returns the messages that are whole now. */
  push(bytes: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = [];
    let rest = bytes;
    while (rest.length > 0) {
      const wanted = this.#filled < 2 ? 2 : 2 + this.#length();
      const taken = Math.min(wanted - this.#filled, rest.length);
      this.#buffer.set(rest.subarray(0, taken), this.#filled);
      this.#filled += taken;
      rest = rest.subarray(taken);
      if (this.#filled >= 2 && this.#filled === 2 + this.#length()) {
        messages.push(this.#buffer.slice(2, this.#filled));
        this.#filled = 0;
      }
    }
    return messages;
  }

  #length(): number {
    return this.#buffer[0]! * 256 + this.#buffer[1]!;
  }
}

defineErrors({
  VPCD_FRAME: { fault: "bug", retry: false, next: "Report it." },
});
