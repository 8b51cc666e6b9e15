/** What every adapter of `CardChannel` checks before it sends a command: its length, and that no other one is in flight. */

import { CodedError, defineErrors } from "../../base/errors.ts";

/** Shortest command APDU, in bytes: CLA INS P1 P2. Below it a frame would be a control message to vpcd. */
export const COMMAND_MIN = 4;
/** Longest command APDU, in bytes: header, extended Lc, 65,535 bytes, extended Le. ISO/IEC 7816-3, 12.1.3. */
export const COMMAND_MAX = 4 + 3 + 65_535 + 2;
/** Longest answer APDU, in bytes: 65,536 and the status word. */
export const ANSWER_MAX = 65_536 + 2;

/** Lets no command pass that is no APDU. @throws {CodedError} `CARD_COMMAND_LENGTH` unless the command has 4 to `max` bytes. */
export function checkCommandLength(command: Uint8Array, max: number = COMMAND_MAX): void {
  if (command.length >= COMMAND_MIN && command.length <= max) return;
  throw new CodedError(
    "CARD_COMMAND_LENGTH",
    `Cannot send command: ${command.length} bytes, not ${COMMAND_MIN} to ${max}`,
  );
}

/**
 * One command in flight on a channel. A second one is refused, not queued: it is a fault of the caller,
 * whose secure channel would have computed it over a chaining value that is not there yet.
 */
export class OneInFlight {
  #busy = false;

  /** Runs the exchange. @throws {CodedError} `CARD_IN_FLIGHT` while another one runs. */
  async run<T>(exchange: () => Promise<T>): Promise<T> {
    if (this.#busy) {
      throw new CodedError("CARD_IN_FLIGHT", "Cannot send command: another one is in flight on this card");
    }
    this.#busy = true;
    try {
      return await exchange();
    } finally {
      this.#busy = false;
    }
  }
}

defineErrors({
  CARD_COMMAND_LENGTH: { fault: "usage", retry: false, next: "Give an APDU of 4 to 65544 bytes." },
  CARD_IN_FLIGHT: { fault: "bug", retry: false, next: "Report it." },
});
