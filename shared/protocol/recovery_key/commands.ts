/**
 * The applet's commands before SCP03 wrapping, class `08` (send them through a channel with `wireCla: 0x08`).
 * Spec/card.md, section 4. Where a command holds a PIN, a seed or a name it is a capsule of section 6.
 */

import { concat, writeUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { type CapsuleKeys, encodeHeaderMac, sealCapsule } from "./capsule.ts";
import {
  CARD_CERTIFICATE_MAX,
  CHALLENGE_LENGTH,
  CLA_RECOVERY_KEY,
  INS_FACTORY_RESET,
  INS_GET_CARD_CERTIFICATE,
  INS_GET_DATA,
  INS_GET_PUBLIC_KEY,
  INS_GET_STATUS,
  INS_PIN_CHANGE,
  INS_REQUEST_UPGRADE,
  INS_RESTORE_SEED,
  INS_SET_CERTIFICATE,
  INS_SET_DATA,
  INS_SET_PIN,
  INS_SET_SEED,
  INS_SET_STATUS,
  INS_VALIDATE_HOST_CERTIFICATE,
  INS_VERIFY_PIN,
  INS_VERIFY_SEED,
  P1_EPHEMERAL,
  P1_STATIC,
  P2_ATTESTED,
  TAG_CARD_NAME,
} from "./constants.ts";
import {
  encodeHostCertificate,
  encodeHostEphemeral,
  type HostCertificate,
  type HostEphemeralCertificate,
} from "./host_certificate.ts";
import { joinPrefixed, requireLength } from "./length_prefixed.ts";
import "./errors.ts";

/** PIN lengths, in digits of one byte each. */
export const PIN_LENGTH = { min: 4, max: 8 } as const;
/** Longest VERIFY SEED challenge, in bytes: the capsule stays under 128 bytes. */
export const SEED_CHALLENGE_MAX = 62;
/** Longest card name, in bytes. */
export const CARD_NAME_MAX = 32;
/** Entropy lengths, in bytes: 12, 18 or 24 words. */
export const ENTROPY_LENGTHS: readonly number[] = [16, 24, 32];
const ENTROPY_FIELD = 32;

function applet(ins: number, p1 = 0x00, p2 = 0x00, data?: Uint8Array): CommandApdu {
  return command(CLA_RECOVERY_KEY, ins, p1, p2, data);
}

/** GET STATUS. */
export function getStatusCommand(): CommandApdu {
  return applet(INS_GET_STATUS);
}

/** GET PUBLIC KEY. The card makes a NEW key pair at every call. */
export function getPublicKeyCommand(): CommandApdu {
  return applet(INS_GET_PUBLIC_KEY);
}

/** SET CERTIFICATE. @throws {CodedError} `RK_FIELD` over 239 bytes. */
export function setCertificateCommand(certificate: Uint8Array): CommandApdu {
  if (certificate.length === 0 || certificate.length > CARD_CERTIFICATE_MAX) {
    throw new CodedError("RK_FIELD", `Cannot set certificate: ${certificate.length} bytes`);
  }
  return applet(INS_SET_CERTIFICATE, 0x00, 0x00, certificate);
}

/** SET STATUS attested. */
export function setStatusAttestedCommand(): CommandApdu {
  return applet(INS_SET_STATUS, 0x00, P2_ATTESTED);
}

/** GET CARD CERTIFICATE, static. @param hostChallenge 8 bytes. @throws {CodedError} `RK_FIELD`. */
export function getCardCertificateCommand(hostChallenge: Uint8Array): CommandApdu {
  requireLength("host challenge", hostChallenge, CHALLENGE_LENGTH);
  return applet(INS_GET_CARD_CERTIFICATE, P1_STATIC, 0x00, hostChallenge);
}

/** GET CARD CERTIFICATE, ephemeral; after the static one. */
export function getCardEphemeralCommand(): CommandApdu {
  return applet(INS_GET_CARD_CERTIFICATE, P1_EPHEMERAL);
}

/** VALIDATE HOST CERTIFICATE, static; once for each SELECT. @throws {CodedError} `RK_FIELD`. */
export function validateHostCertificateCommand(certificate: HostCertificate): CommandApdu {
  return applet(INS_VALIDATE_HOST_CERTIFICATE, P1_STATIC, 0x00, encodeHostCertificate(certificate));
}

/** VALIDATE HOST CERTIFICATE, ephemeral; after the static one. @throws {CodedError} `RK_FIELD`. */
export function validateHostEphemeralCommand(certificate: HostEphemeralCertificate): CommandApdu {
  return applet(INS_VALIDATE_HOST_CERTIFICATE, P1_EPHEMERAL, 0x00, encodeHostEphemeral(certificate));
}

function sealed(
  ins: number,
  p1p2: number,
  keys: CapsuleKeys,
  plain: Uint8Array,
  iv: Uint8Array,
): CommandApdu {
  try {
    return applet(ins, p1p2 >> 8, p1p2 & 0xff, sealCapsule(keys, plain, iv));
  } finally {
    plain.fill(0);
  }
}

function pinPlain(pin: Uint8Array): Uint8Array {
  if (pin.length < PIN_LENGTH.min || pin.length > PIN_LENGTH.max || pin.some((digit) => digit > 9)) {
    throw new CodedError("RK_FIELD", "Cannot send PIN: it has 4 to 8 digits, each a byte from 0 to 9");
  }
  return joinPrefixed(pin);
}

/** SET PIN: held until SET SEED. @param pin 4 to 8 bytes from 0 to 9. @param iv 16 bytes. @throws {CodedError} `RK_FIELD`. */
export function setPinCommand(keys: CapsuleKeys, pin: Uint8Array, iv: Uint8Array): CommandApdu {
  return sealed(INS_SET_PIN, 0, keys, pinPlain(pin), iv);
}

/** VERIFY PIN: a wrong one uses a try, the third wipes the card. As `setPinCommand`. */
export function verifyPinCommand(keys: CapsuleKeys, pin: Uint8Array, iv: Uint8Array): CommandApdu {
  return sealed(INS_VERIFY_PIN, 0, keys, pinPlain(pin), iv);
}

/** PIN CHANGE to a new PIN. As `setPinCommand`. */
export function pinChangeCommand(keys: CapsuleKeys, pin: Uint8Array, iv: Uint8Array): CommandApdu {
  return sealed(INS_PIN_CHANGE, 0, keys, pinPlain(pin), iv);
}

/** REQUEST UPGRADE: read tag `9F17` and VERIFY PIN first. As `setPinCommand`. */
export function requestUpgradeCommand(keys: CapsuleKeys, pin: Uint8Array, iv: Uint8Array): CommandApdu {
  return sealed(INS_REQUEST_UPGRADE, 0, keys, pinPlain(pin), iv);
}

/** The 33-byte plaintext of a seed: length, zeros, entropy. @throws {CodedError} `RK_FIELD`. */
export function encodeEntropy(entropy: Uint8Array): Uint8Array {
  if (!ENTROPY_LENGTHS.includes(entropy.length)) {
    throw new CodedError("RK_FIELD", `Cannot send seed: ${entropy.length} bytes, not 16, 24 or 32`);
  }
  const plain = new Uint8Array(1 + ENTROPY_FIELD);
  plain[0] = entropy.length;
  plain.set(entropy, plain.length - entropy.length);
  return plain;
}

/** Reads it back, from RESTORE SEED. @throws {CodedError} `RK_MALFORMED`, also when the left part is not zero. */
export function decodeEntropy(plain: Uint8Array): Secret {
  const length = plain[0] ?? 0;
  const start = plain.length - length;
  if (
    plain.length !== 1 + ENTROPY_FIELD || !ENTROPY_LENGTHS.includes(length) ||
    plain.subarray(1, start).some((byte) => byte !== 0)
  ) {
    throw new CodedError("RK_MALFORMED", "Cannot read seed: wrong length or padding");
  }
  return new Secret(plain.slice(start));
}

/** SET SEED. @param entropy 16, 24 or 32 bytes. @param iv 16 bytes. @throws {CodedError} `RK_FIELD`. */
export function setSeedCommand(keys: CapsuleKeys, entropy: Secret, iv: Uint8Array): CommandApdu {
  return sealed(INS_SET_SEED, 0, keys, encodeEntropy(entropy.reveal()), iv);
}

/** VERIFY SEED. @param challenge 1 to 62 bytes. @param iv 16 bytes. @throws {CodedError} `RK_FIELD`. */
export function verifySeedCommand(keys: CapsuleKeys, challenge: Uint8Array, iv: Uint8Array): CommandApdu {
  if (challenge.length === 0 || challenge.length > SEED_CHALLENGE_MAX) {
    throw new CodedError("RK_FIELD", `Cannot verify seed: challenge of ${challenge.length} bytes`);
  }
  return sealed(INS_VERIFY_SEED, 0, keys, joinPrefixed(challenge), iv);
}

/** SET DATA of the card's name; an empty one erases it. @throws {CodedError} `RK_FIELD` over 32 bytes. */
export function setCardNameCommand(keys: CapsuleKeys, name: Uint8Array, iv: Uint8Array): CommandApdu {
  if (name.length > CARD_NAME_MAX) {
    throw new CodedError("RK_FIELD", `Cannot set name: ${name.length} bytes, over ${CARD_NAME_MAX}`);
  }
  return sealed(INS_SET_DATA, TAG_CARD_NAME, keys, joinPrefixed(name), iv);
}

function headerAuthorized(keys: CapsuleKeys, ins: number, p1p2: number): CommandApdu {
  const header = concat(Uint8Array.of(CLA_RECOVERY_KEY, ins), writeUint(p1p2, 2));
  return applet(ins, p1p2 >> 8, p1p2 & 0xff, encodeHeaderMac(keys, header));
}

/** RESTORE SEED. */
export function restoreSeedCommand(keys: CapsuleKeys): CommandApdu {
  return headerAuthorized(keys, INS_RESTORE_SEED, 0);
}

/** GET DATA. @param tag `TAG_CARD_NAME` or `TAG_PIN_TRIES_LEFT`. */
export function getDataCommand(keys: CapsuleKeys, tag: number): CommandApdu {
  return headerAuthorized(keys, INS_GET_DATA, tag);
}

/** Value in an opened GET DATA answer: tag (2) || length || value. @throws {CodedError} `RK_MALFORMED`. */
export function parseDataAnswer(plain: Uint8Array, tag: number): Uint8Array {
  if (plain.length < 3 || plain[0]! * 256 + plain[1]! !== tag || plain[2] !== plain.length - 3) {
    throw new CodedError(
      "RK_MALFORMED",
      "Cannot read GET DATA answer: not the tag asked for, or wrong length",
    );
  }
  return plain.slice(3);
}

/** FACTORY RESET. */
export function factoryResetCommand(keys: CapsuleKeys): CommandApdu {
  return headerAuthorized(keys, INS_FACTORY_RESET, 0);
}
