/** Commands that carry only the MAC of their own header. Card page, section 4. */

import { equalConstantTime } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import type { AppletCall } from "./call.ts";
import { headerMac } from "./capsule.ts";

/** Checks `20` || header MAC. @returns the status word to refuse with, or undefined. */
export function checkHeaderMac(call: AppletCall, command: CommandApdu): number | undefined {
  const { data } = command;
  const { keys } = call.volatile;
  // matrix, PERSO/PIN_LOCKED: GET DATA without an inner channel is 6F00.
  if (keys === null) return SW.UNKNOWN;
  if (data.length === 0) return SW.SECURE_MESSAGING_DATA_MISSING;
  if (data[0] !== data.length - 1) return SW.WRONG_LENGTH;
  return equalConstantTime(headerMac(keys, command), data.subarray(1))
    ? undefined
    : SW.SECURE_MESSAGING_DATA_INCORRECT;
}
