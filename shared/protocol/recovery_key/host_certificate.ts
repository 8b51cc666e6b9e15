/** Host certificates and the card's ephemeral certificate: data fields of section 4, signatures of section 5.2. */

import { CodedError } from "../../base/errors.ts";
import { ecdsaVerify, PUBLIC_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import { CHALLENGE_LENGTH, HOST_SERIAL_LENGTH } from "./constants.ts";
import { joinPrefixed, requireLength, SIGNATURE_FIELD, splitPrefixed } from "./length_prefixed.ts";
import { cardEphemeralMessage, hostEphemeralMessage, hostStaticMessage } from "./signed_messages.ts";
import "./errors.ts";

/** A host's static certificate. */
export interface HostCertificate {
  /** 7 bytes. */
  readonly serial: Uint8Array;
  /** 65 bytes. */
  readonly publicKey: Uint8Array;
  /** DER, by the issuer over `hostStaticMessage`. */
  readonly signature: Uint8Array;
}

/** Data field of VALIDATE HOST CERTIFICATE, static. @throws {CodedError} `RK_FIELD`. */
export function encodeHostCertificate(certificate: HostCertificate): Uint8Array {
  return joinPrefixed(
    requireLength("host serial", certificate.serial, HOST_SERIAL_LENGTH),
    requireLength("public key", certificate.publicKey, PUBLIC_KEY_LENGTH),
    certificate.signature,
  );
}

/** Reads that data field. @throws {CodedError} `RK_MALFORMED`. */
export function parseHostCertificate(data: Uint8Array): HostCertificate {
  const [serial, publicKey, signature] = splitPrefixed(data, [
    HOST_SERIAL_LENGTH,
    PUBLIC_KEY_LENGTH,
    SIGNATURE_FIELD,
  ]);
  return { serial, publicKey, signature };
}

/** Whether the issuer (65 bytes) signed the host certificate. */
export function verifyHostCertificate(certificate: HostCertificate, issuerPublicKey: Uint8Array): boolean {
  return ecdsaVerify(
    issuerPublicKey,
    hostStaticMessage(certificate.serial, certificate.publicKey),
    certificate.signature,
  );
}

/** A host's ephemeral key with its signature. */
export interface HostEphemeralCertificate {
  /** 65 bytes. */
  readonly ephemeral: Uint8Array;
  /** DER, by the host's static key over `hostEphemeralMessage`. */
  readonly signature: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** Data field of VALIDATE HOST CERTIFICATE, ephemeral; its first field is empty. @throws {CodedError} `RK_FIELD`. */
export function encodeHostEphemeral(certificate: HostEphemeralCertificate): Uint8Array {
  return joinPrefixed(
    NOTHING,
    requireLength("ephemeral public key", certificate.ephemeral, PUBLIC_KEY_LENGTH),
    certificate.signature,
  );
}

/** Reads that data field. @throws {CodedError} `RK_MALFORMED`; the first byte is ignored, as the card does. */
export function parseHostEphemeral(data: Uint8Array): HostEphemeralCertificate {
  if (data.length === 0) {
    throw new CodedError("RK_MALFORMED", "Cannot read host ephemeral certificate: no data");
  }
  const [ephemeral, signature] = splitPrefixed(data.subarray(1), [PUBLIC_KEY_LENGTH, SIGNATURE_FIELD]);
  return { ephemeral, signature };
}

/** Whether the host's static key (65 bytes) signed its ephemeral key for these challenges. */
export function verifyHostEphemeral(
  certificate: HostEphemeralCertificate,
  hostPublicKey: Uint8Array,
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
): boolean {
  const message = hostEphemeralMessage(hostChallenge, cardChallenge, certificate.ephemeral);
  return ecdsaVerify(hostPublicKey, message, certificate.signature);
}

/** The card's ephemeral key with its signature: the answer to GET CARD CERTIFICATE, ephemeral. */
export interface CardEphemeralCertificate {
  /** 8 bytes. */
  readonly cardChallenge: Uint8Array;
  /** 65 bytes. */
  readonly ephemeral: Uint8Array;
  /** DER, by the card's static key over `cardEphemeralMessage`. */
  readonly signature: Uint8Array;
}

/** Writes that answer. @throws {CodedError} `RK_FIELD`. */
export function encodeCardEphemeral(certificate: CardEphemeralCertificate): Uint8Array {
  return joinPrefixed(
    requireLength("card challenge", certificate.cardChallenge, CHALLENGE_LENGTH),
    requireLength("ephemeral public key", certificate.ephemeral, PUBLIC_KEY_LENGTH),
    certificate.signature,
  );
}

/** Reads that answer. @throws {CodedError} `RK_MALFORMED`. */
export function parseCardEphemeral(data: Uint8Array): CardEphemeralCertificate {
  const [cardChallenge, ephemeral, signature] = splitPrefixed(data, [
    CHALLENGE_LENGTH,
    PUBLIC_KEY_LENGTH,
    SIGNATURE_FIELD,
  ]);
  return { cardChallenge, ephemeral, signature };
}

/** Whether the card's static key (65 bytes) signed its ephemeral key for these challenges. */
export function verifyCardEphemeral(
  certificate: CardEphemeralCertificate,
  cardPublicKey: Uint8Array,
  hostChallenge: Uint8Array,
): boolean {
  const message = cardEphemeralMessage(certificate.cardChallenge, hostChallenge, certificate.ephemeral);
  return ecdsaVerify(cardPublicKey, message, certificate.signature);
}
