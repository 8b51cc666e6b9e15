/** SET SEED, RESTORE SEED, VERIFY SEED. Card page, section 4. */

import { sha512 } from "@noble/hashes/sha2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { concat, fromHex, toHex, toUtf8, writeUint } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import type { AppletCall } from "./call.ts";
import { openCapsule, sealCapsule } from "./capsule.ts";
import { checkHeaderMac } from "./header_mac.ts";
import { openShortCapsule, PIN_TRIES } from "./pin.ts";
import { APPLET_LIFE_CYCLE, TRANSIENT_STATE } from "./volatile.ts";

/** Length byte and entropy, right-aligned. */
const SEED_BLOCK_LENGTH = 33;
const ENTROPY_LENGTHS = [16, 24, 32];
const IV_LENGTH = 16;

/** SET SEED: commits PIN and seed together. P1 and P2 are not checked. */
export function setSeed(call: AppletCall, command: CommandApdu): ResponseApdu {
  const { pendingPin, keys } = call.volatile;
  if (pendingPin === null) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (keys === null) return response(SW.UNKNOWN);
  const plain = openCapsule(keys, command.data);
  if (plain === undefined) return response(SW.SECURE_MESSAGING_DATA_INCORRECT);
  if (!ENTROPY_LENGTHS.includes(plain[0] ?? 0)) return response(SW.WRONG_LENGTH);
  const seed = new Uint8Array(SEED_BLOCK_LENGTH);
  // QUIRK(recovery-key): a shorter block passes (d_errors, "16 bytes, short aligned"); the chip fills it with
  // stale bytes, this card with zeros.
  seed.set(plain.subarray(0, SEED_BLOCK_LENGTH));
  call.change({
    seed,
    pin: pendingPin,
    pinTriesLeft: PIN_TRIES,
    lifeCycle: APPLET_LIFE_CYCLE.USER_PERSONALIZED,
  });
  call.volatile.pendingPin = null;
  call.volatile.transient = TRANSIENT_STATE.PIN_UNLOCKED;
  return response(SW.OK);
}

/** RESTORE SEED: the header MAC is over P1 P2 as sent, which are not checked otherwise. */
export function restoreSeed(call: AppletCall, command: CommandApdu): ResponseApdu {
  const refused = checkHeaderMac(call, command);
  if (refused !== undefined) return response(refused);
  return sealed(call, call.memory.seed!);
}

/** VERIFY SEED: signs a challenge with the key derived from the entropy. */
export function verifySeed(call: AppletCall, command: CommandApdu): ResponseApdu {
  const plain = openShortCapsule(call, command);
  if ("sw" in plain) return response(plain.sw);
  const challenge = plain.subarray(1, 1 + (plain[0] ?? 0));
  const key = seedVerificationKey(call.memory.seed!);
  try {
    const signature = call.context.crypto.sign(key, challenge);
    return sealed(call, concat(Uint8Array.of(signature.length), signature));
  } finally {
    key.fill(0);
  }
}

function sealed(call: AppletCall, plain: Uint8Array): ResponseApdu {
  const { keys } = call.volatile;
  if (keys === null) return response(SW.UNKNOWN);
  return response(SW.OK, sealCapsule(keys, call.context.crypto.random(IV_LENGTH), plain));
}

/** Order of secp256k1. SEC 2, 2.4.1. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const PATH = [0x80000000, 0x82000000, 0x80000001];
/** The card keys each step with half a chain code, so this is not BIP32. Card page, section 4. */
const CHAIN_CODE_USED = 16;

/** Private key (32) of VERIFY SEED for a stored seed block (length byte, 32 bytes). */
export function seedVerificationKey(seed: Uint8Array): Uint8Array {
  const entropy = seed.subarray(SEED_BLOCK_LENGTH - seed[0]!);
  let node = hmac(sha512, toUtf8("Bitcoin seed"), entropy);
  for (const index of PATH) {
    const key = node.subarray(0, 32);
    const input = concat(Uint8Array.of(0), key, writeUint(index, 4));
    const next = hmac(sha512, node.subarray(32, 32 + CHAIN_CODE_USED), input);
    const child = (BigInt("0x" + toHex(next.subarray(0, 32))) + BigInt("0x" + toHex(key))) % ORDER;
    next.set(fromHex(child.toString(16).padStart(64, "0")));
    node.fill(0);
    node = next;
  }
  return node.subarray(0, 32);
}
