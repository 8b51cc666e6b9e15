/** GET DATA, SET DATA, FACTORY RESET. Card page, section 4. */

import { concat, writeUint } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import type { AppletCall } from "./call.ts";
import { sealCapsule } from "./capsule.ts";
import { checkHeaderMac } from "./header_mac.ts";
import { openShortCapsule } from "./pin.ts";
import { wipe } from "./wipe.ts";

const TAG_NAME = 0x0066;
const TAG_PIN_TRIES = 0x9f17;
const NAME_LENGTH_MAX = 32;
/** A length that is negative as a signed byte breaks the stored name (d_errors, "inner length 80"). */
const NEGATIVE_LENGTH = 0x80;
const IV_LENGTH = 16;

/** GET DATA: card name, PIN tries left. */
export function getData(call: AppletCall, command: CommandApdu): ResponseApdu {
  const tag = command.p1 * 256 + command.p2;
  if (tag !== TAG_NAME && tag !== TAG_PIN_TRIES) return response(SW.INCORRECT_P1P2);
  const refused = checkHeaderMac(call, command);
  if (refused !== undefined) return response(refused);
  const { memory, volatile, context } = call;
  const value = tag === TAG_NAME ? memory.name : Uint8Array.of(memory.pinTriesLeft);
  if (value === null) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (value.length >= NEGATIVE_LENGTH) return response(SW.UNKNOWN);
  const plain = concat(writeUint(tag, 2), Uint8Array.of(value.length), value);
  return response(SW.OK, sealCapsule(volatile.keys!, context.crypto.random(IV_LENGTH), plain));
}

/** SET DATA: the card name; length 0 erases. */
export function setData(call: AppletCall, command: CommandApdu): ResponseApdu {
  if (command.p1 * 256 + command.p2 !== TAG_NAME) return response(SW.INCORRECT_P1P2);
  const plain = openShortCapsule(call, command);
  if ("sw" in plain) return response(plain.sw);
  const length = plain[0] ?? 0;
  if (length >= NEGATIVE_LENGTH) {
    call.change({ name: new Uint8Array(length) });
    return response(SW.UNKNOWN);
  }
  if (length > NAME_LENGTH_MAX) return response(SW.WRONG_DATA);
  const name = new Uint8Array(length);
  name.set(plain.subarray(1, 1 + length));
  call.change({ name: length === 0 ? null : name });
  return response(SW.OK);
}

/** FACTORY RESET. */
export function factoryReset(call: AppletCall, command: CommandApdu): ResponseApdu {
  const refused = checkHeaderMac(call, command);
  if (refused !== undefined) return response(refused);
  wipe(call);
  return response(SW.OK);
}
