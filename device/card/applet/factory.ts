/** The applet's factory commands: GET STATUS, GET PUBLIC KEY, SET CERTIFICATE, SET STATUS. Card page, section 4. */

import { concat } from "shared/base/bytes.ts";
import { ecdsaVerify } from "shared/crypto/secp256k1.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { findPackage } from "../registry.ts";
import { versionBytes } from "../state.ts";
import type { AppletCall } from "./call.ts";
import { APPLET_LIFE_CYCLE, transientAfterSelect } from "./volatile.ts";

/** Role byte of the card in signed messages. */
export const ROLE_CARD = 0x0a;
/** P2 of SET STATUS: attested. */
const P2_ATTESTED = 0x02;
const TAG_SERIAL = 0x20;
const TAG_SIGNATURE = 0x15;

/** First version whose GET STATUS claims the hash of the package. */
const CLAIMING = { major: 1, minor: 1 } as const;
const SHA256_LENGTH = 32;

/**
 * What version 1.1 claims: SHA-256 of the load file data block of its package, as the card computed it at LOAD. Empty for an older
 * version, and for a package that was on the card when it was made.
 */
function claimedHash({ memory, context, packageAid }: AppletCall): Uint8Array {
  const { major, minor } = memory.version;
  const claims = major > CLAIMING.major || (major === CLAIMING.major && minor >= CLAIMING.minor);
  const sha256 = claims ? findPackage(context.state, packageAid)?.sha256 : undefined;
  return sha256?.length === SHA256_LENGTH ? sha256 : new Uint8Array(0);
}

/** GET STATUS: TLVs 01 to 05, and 06 from version 1.1 on. */
export function getStatus(call: AppletCall, command: CommandApdu): ResponseApdu {
  if (command.p1 !== 0 || command.p2 !== 0) return response(SW.INCORRECT_P1P2);
  if (command.data.length !== 0) return response(SW.WRONG_LENGTH);
  const { memory, volatile, context } = call;
  const hash = claimedHash(call);
  const field = (tag: number, value: Uint8Array) => concat(Uint8Array.of(tag, value.length), value);
  return response(
    SW.OK,
    concat(
      field(0x01, context.state.targetId),
      field(0x02, memory.serial),
      field(0x03, versionBytes(memory.version)),
      field(0x04, Uint8Array.of(memory.lifeCycle)),
      field(0x05, Uint8Array.of(volatile.transient)),
      hash.length === 0 ? hash : field(0x06, hash),
    ),
  );
}

/** GET PUBLIC KEY: makes a new key pair, every time. */
export function getPublicKey(call: AppletCall, command: CommandApdu): ResponseApdu {
  if (command.p1 !== 0 || command.p2 !== 0) return response(SW.INCORRECT_P1P2);
  if (command.data.length !== 0) return response(SW.WRONG_LENGTH);
  const { memory, context } = call;
  // d_errors, "GET PUBLIC KEY on a card with no issuer key".
  if (memory.attestationKey === null) return response(SW.UNKNOWN);
  const keyPair = context.crypto.generateKeyPair();
  const message = concat(Uint8Array.of(ROLE_CARD), context.state.targetId, keyPair.publicKey);
  const signature = context.crypto.sign(memory.attestationKey, message);
  call.change({ keyPair });
  const lengthValue = (value: Uint8Array) => concat(Uint8Array.of(value.length), value);
  return response(
    SW.OK,
    concat(lengthValue(keyPair.publicKey), lengthValue(memory.serial), lengthValue(signature)),
  );
}

/**
 * SET CERTIFICATE: the card looks for tags 20 and 15 only.
 * QUIRK(recovery-key): it compares as many serial bytes as the certificate has, none included, and does not look
 * at the public key (d_errors, section 3).
 */
export function setCertificate(call: AppletCall, command: CommandApdu): ResponseApdu {
  if (command.p1 !== 0 || command.p2 !== 0) return response(SW.INCORRECT_P1P2);
  const certificate = command.data;
  if (certificate.length === 0) return response(SW.WRONG_LENGTH);
  const { memory } = call;
  const parsed = findCertificateFields(certificate);
  if (parsed === undefined) return response(SW.UNKNOWN);
  const { serial, signedLength, signature, endsThere } = parsed;
  if (serial === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (serial.length > memory.serial.length) return response(SW.UNKNOWN);
  if (!serial.every((byte, i) => byte === memory.serial[i])) return response(SW.WRONG_DATA);
  if (signature === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (memory.issuerKey === null) return response(SW.UNKNOWN);
  const signed = certificate.subarray(0, signedLength);
  if (!endsThere || !ecdsaVerify(memory.issuerKey, signed, signature)) {
    return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  }
  call.change({ certificate: certificate.slice(), lifeCycle: APPLET_LIFE_CYCLE.PENDING_TESTS });
  return response(SW.OK);
}

interface CertificateFields {
  readonly serial: Uint8Array | undefined;
  readonly signature: Uint8Array | undefined;
  /** Bytes before tag 15. */
  readonly signedLength: number;
  /** Whether the signature ends the certificate. */
  readonly endsThere: boolean;
}

/** Walks simple TLVs as far as the signature; undefined when they run over the end. */
function findCertificateFields(certificate: Uint8Array): CertificateFields | undefined {
  let serial: Uint8Array | undefined;
  for (let offset = 0; offset < certificate.length;) {
    const length = certificate[offset + 1];
    if (length === undefined) return undefined;
    const start = offset + 2;
    const value = certificate.subarray(start, start + length);
    if (certificate[offset] === TAG_SIGNATURE) {
      const endsThere = start + length === certificate.length;
      return { serial, signature: value, signedLength: offset, endsThere };
    }
    if (value.length !== length) return undefined;
    if (certificate[offset] === TAG_SERIAL) serial = value;
    offset = start + length;
  }
  return { serial, signature: undefined, signedLength: certificate.length, endsThere: false };
}

/** SET STATUS to attested. */
export function setStatus(call: AppletCall, command: CommandApdu): ResponseApdu {
  if (command.p1 !== 0 || command.p2 !== P2_ATTESTED) return response(SW.INCORRECT_P1P2);
  if (command.data.length !== 0) return response(SW.WRONG_LENGTH);
  call.change({ lifeCycle: APPLET_LIFE_CYCLE.ATTESTED });
  call.volatile.transient = transientAfterSelect(APPLET_LIFE_CYCLE.ATTESTED);
  return response(SW.OK);
}
