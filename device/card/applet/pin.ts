/** PIN commands: SET PIN, VERIFY PIN, PIN CHANGE, REQUEST UPGRADE. Card page, section 4. */

import { equalConstantTime } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import type { AppletCall } from "./call.ts";
import { openCapsule } from "./capsule.ts";
import { wipe } from "./wipe.ts";
import { TRANSIENT_STATE } from "./volatile.ts";

/** Tries of a fresh PIN. */
export const PIN_TRIES = 3;
/** Most plain bytes of a command that carries a short capsule. Card page, section 4. */
export const SHORT_CAPSULE_MAX = 127;
const PIN_LENGTH_MIN = 4;
const PIN_LENGTH_MAX = 8;

/**
 * Opens the capsule of a command with P1 P2 fixed to zero.
 * @returns the plaintext, or the status word to refuse with.
 */
function shortCapsule(call: AppletCall, command: CommandApdu): Uint8Array | { sw: number } {
  if (command.p1 !== 0 || command.p2 !== 0) return { sw: SW.INCORRECT_P1P2 };
  return openShortCapsule(call, command);
}

/** The same without looking at P1 P2. */
export function openShortCapsule(call: AppletCall, command: CommandApdu): Uint8Array | { sw: number } {
  if (command.data.length === 0) return { sw: SW.SECURE_MESSAGING_DATA_MISSING };
  if (command.data.length > SHORT_CAPSULE_MAX) return { sw: SW.WRONG_LENGTH };
  const { keys } = call.volatile;
  if (keys === null) return { sw: SW.UNKNOWN };
  return openCapsule(keys, command.data) ?? { sw: SW.SECURE_MESSAGING_DATA_INCORRECT };
}

/** Length || PIN of 4 to 8 digits 0 to 9. */
function readPin(plain: Uint8Array): Uint8Array | undefined {
  const pin = plain.slice(1);
  const sound = plain[0] === pin.length && pin.length >= PIN_LENGTH_MIN && pin.length <= PIN_LENGTH_MAX &&
    pin.every((digit) => digit <= 9);
  return sound ? pin : undefined;
}

/** SET PIN: held until SET SEED. */
export function setPin(call: AppletCall, command: CommandApdu): ResponseApdu {
  if (call.volatile.pendingPin !== null) return response(SW.CONDITIONS_NOT_SATISFIED);
  const plain = shortCapsule(call, command);
  if ("sw" in plain) return response(plain.sw);
  const pin = readPin(plain);
  if (pin === undefined) return response(SW.WRONG_DATA);
  call.volatile.pendingPin = pin;
  return response(SW.OK);
}

/** VERIFY PIN: the third wrong one wipes; so does any once no try is left. */
export function verifyPin(call: AppletCall, command: CommandApdu): ResponseApdu {
  const plain = shortCapsule(call, command);
  if ("sw" in plain) return response(plain.sw);
  const pin = readPin(plain);
  if (pin === undefined) return response(SW.WRONG_DATA);
  const { memory } = call;
  if (memory.pinTriesLeft > 0 && memory.pin !== null && equalConstantTime(memory.pin, pin)) {
    if (memory.pinTriesLeft !== PIN_TRIES) call.change({ pinTriesLeft: PIN_TRIES });
    call.volatile.transient = TRANSIENT_STATE.PIN_UNLOCKED;
    return response(SW.OK);
  }
  const triesLeft = Math.max(0, memory.pinTriesLeft - 1);
  if (triesLeft === 0) {
    wipe(call);
    return response(SW.AUTHENTICATION_METHOD_BLOCKED);
  }
  call.change({ pinTriesLeft: triesLeft });
  return response(SW.PIN_TRIES_LEFT + triesLeft);
}

/** PIN CHANGE. */
export function changePin(call: AppletCall, command: CommandApdu): ResponseApdu {
  const plain = shortCapsule(call, command);
  if ("sw" in plain) return response(plain.sw);
  const pin = readPin(plain);
  if (pin === undefined) return response(SW.WRONG_DATA);
  call.change({ pin, pinTriesLeft: PIN_TRIES });
  return response(SW.OK);
}

/** REQUEST UPGRADE: a wrong PIN uses a try and never wipes. */
export function requestUpgrade(call: AppletCall, command: CommandApdu): ResponseApdu {
  const plain = shortCapsule(call, command);
  if ("sw" in plain) return response(plain.sw);
  const pin = readPin(plain);
  const { memory } = call;
  if (pin === undefined || memory.pinTriesLeft === 0) return response(SW.WRONG_DATA);
  if (memory.pin === null || !equalConstantTime(memory.pin, pin)) {
    call.change({ pinTriesLeft: memory.pinTriesLeft - 1 });
    return response(SW.WRONG_DATA);
  }
  if (memory.pinTriesLeft !== PIN_TRIES) call.change({ pinTriesLeft: PIN_TRIES });
  call.context.volatile.upgradeGrant = call.aid;
  return response(SW.OK);
}
