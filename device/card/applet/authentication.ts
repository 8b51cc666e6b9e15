/** Mutual authentication: GET CARD CERTIFICATE and VALIDATE HOST CERTIFICATE. Card page, sections 4 to 6. */

import { concat } from "shared/base/bytes.ts";
import { ecdsaVerify } from "shared/crypto/secp256k1.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import type { AppletCall } from "./call.ts";
import { deriveInnerKeys } from "./capsule.ts";
import { ROLE_CARD } from "./factory.ts";
import { TRANSIENT_STATE } from "./volatile.ts";

const P1_STATIC = 0x00;
const P1_EPHEMERAL = 0x80;
const ROLE_HOST_STATIC = 0x02;
const ROLE_HOST_EPHEMERAL = 0x12;
const HOST_SERIAL_LENGTH = 7;
const HOST_CHALLENGE_MAX = 8;
const CARD_CHALLENGE_LENGTH = 8;
const PUBLIC_KEY_LENGTH = 65;

/** GET CARD CERTIFICATE, static (P1 00) or ephemeral (P1 80). */
export function getCardCertificate(call: AppletCall, command: CommandApdu): ResponseApdu {
  if (command.p2 !== 0) return response(SW.INCORRECT_P1P2);
  if (command.p1 === P1_STATIC) return staticCertificate(call, command);
  if (command.p1 === P1_EPHEMERAL) return ephemeralCertificate(call, command);
  return response(SW.INCORRECT_P1P2);
}

function staticCertificate(call: AppletCall, command: CommandApdu): ResponseApdu {
  const { data } = command;
  if (data.length === 0 || data.length > HOST_CHALLENGE_MAX) return response(SW.WRONG_LENGTH);
  if (call.memory.certificate === null) return response(SW.UNKNOWN);
  call.volatile.hostChallenge = data.slice();
  return response(SW.OK, call.memory.certificate);
}

function ephemeralCertificate(call: AppletCall, command: CommandApdu): ResponseApdu {
  const { volatile, memory, context } = call;
  if (volatile.hostChallenge === null) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (command.data.length !== 0) return response(SW.WRONG_LENGTH);
  // d_errors, "GET CARD CERTIFICATE 80 with no card key".
  if (memory.keyPair === null) return response(SW.UNKNOWN);
  volatile.cardChallenge = context.crypto.random(CARD_CHALLENGE_LENGTH);
  volatile.ephemeral = context.crypto.generateKeyPair();
  const publicKey = volatile.ephemeral.publicKey;
  const signature = context.crypto.sign(
    memory.keyPair.privateKey,
    concat(Uint8Array.of(ROLE_CARD), volatile.cardChallenge, volatile.hostChallenge, publicKey),
  );
  return response(
    SW.OK,
    concat(
      Uint8Array.of(CARD_CHALLENGE_LENGTH),
      volatile.cardChallenge,
      Uint8Array.of(PUBLIC_KEY_LENGTH),
      publicKey,
      Uint8Array.of(signature.length),
      signature,
    ),
  );
}

/** VALIDATE HOST CERTIFICATE, static (P1 00) or ephemeral (P1 80). */
export function validateHostCertificate(call: AppletCall, command: CommandApdu): ResponseApdu {
  if (command.p2 !== 0) return response(SW.INCORRECT_P1P2);
  if (command.p1 === P1_STATIC) return validateStatic(call, command.data);
  if (command.p1 === P1_EPHEMERAL) return validateEphemeral(call, command.data);
  return response(SW.INCORRECT_P1P2);
}

function validateStatic(call: AppletCall, data: Uint8Array): ResponseApdu {
  const { volatile, memory } = call;
  if (volatile.host !== null) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (data.length === 0) return response(SW.WRONG_LENGTH);
  if (data[0] !== HOST_SERIAL_LENGTH) return response(SW.WRONG_DATA);
  const serial = data.slice(1, 1 + HOST_SERIAL_LENGTH);
  const signed = readKeyAndSignature(data, 1 + HOST_SERIAL_LENGTH);
  if (signed === undefined || memory.issuerKey === null) return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  const message = concat(Uint8Array.of(ROLE_HOST_STATIC), serial, signed.publicKey);
  if (!ecdsaVerify(memory.issuerKey, message, signed.signature)) {
    return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  }
  volatile.host = { serial, publicKey: signed.publicKey };
  return response(SW.OK);
}

/** QUIRK(recovery-key): the first byte is not looked at (d_errors, "leading byte 55 instead of 00"). */
function validateEphemeral(call: AppletCall, data: Uint8Array): ResponseApdu {
  const { volatile, context, memory } = call;
  if (volatile.host === null) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (data.length === 0) return response(SW.WRONG_LENGTH);
  const signed = readKeyAndSignature(data, 1);
  if (signed === undefined) return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  const hostChallenge = volatile.hostChallenge ?? new Uint8Array(0);
  const message = concat(
    Uint8Array.of(ROLE_HOST_EPHEMERAL),
    hostChallenge,
    volatile.cardChallenge,
    signed.publicKey,
  );
  if (!ecdsaVerify(volatile.host.publicKey, message, signed.signature)) {
    return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  }
  if (volatile.ephemeral === null) return response(SW.UNKNOWN);
  let sharedPoint: Uint8Array;
  try {
    sharedPoint = context.crypto.sharedPoint(volatile.ephemeral.privateKey, signed.publicKey);
  } catch {
    return response(SW.UNKNOWN);
  }
  volatile.keys = deriveInnerKeys({
    sharedPoint,
    hostChallenge,
    cardChallenge: volatile.cardChallenge,
    hostSerial: volatile.host.serial,
    cardSerial: memory.serial,
  });
  sharedPoint.fill(0);
  volatile.transient = TRANSIENT_STATE.AUTHENTICATED;
  return response(SW.OK);
}

/** `41` || public key || length || signature up to the end; undefined when it is laid out otherwise. */
function readKeyAndSignature(
  data: Uint8Array,
  offset: number,
): { publicKey: Uint8Array; signature: Uint8Array } | undefined {
  if (data[offset] !== PUBLIC_KEY_LENGTH) return undefined;
  const publicKey = data.slice(offset + 1, offset + 1 + PUBLIC_KEY_LENGTH);
  const length = data[offset + 1 + PUBLIC_KEY_LENGTH];
  const signature = data.slice(offset + 2 + PUBLIC_KEY_LENGTH);
  if (length === undefined || signature.length !== length) return undefined;
  return { publicKey, signature };
}
