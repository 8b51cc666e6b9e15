/**
 * How a wallet shows, with the key and certificate that it got in its factory, that a certificate request is its own. Its key is on
 * secp256k1 and its certificate is no X.509 (card.md, 5.2), so neither can be used in TLS: the device signs a text that
 * names the server's challenge and the request. The text begins with a letter, and everything else that this key signs with a
 * role byte below 0x20, so neither can be taken for the other.
 */

import { createHash } from "node:crypto";
import { parseDictionary, serializeDictionary } from "structured-headers";
import { ecdsaVerify } from "shared/crypto/secp256k1.ts";
import { toHex } from "shared/base/bytes.ts";
import {
  parseHostCertificate,
  verifyHostCertificate,
} from "shared/protocol/recovery_key/host_certificate.ts";

/** Length of a challenge in bytes. */
export const CHALLENGE_LENGTH = 32;
/** The request header that carries the proof: a dictionary of byte sequences (RFC 9651). */
export const DEVICE_PROOF_HEADER = "device-proof";
const CONTEXT = new TextEncoder().encode("recovery-key:est-device-enrolment:1\0");

/** The bytes that a device signs: context, challenge (32), SHA-256 of the request's DER (32). */
export function deviceProofMessage(challenge: Uint8Array, requestDigest: Uint8Array): Uint8Array {
  const message = new Uint8Array(CONTEXT.length + challenge.length + requestDigest.length);
  message.set(CONTEXT);
  message.set(challenge, CONTEXT.length);
  message.set(requestDigest, CONTEXT.length + challenge.length);
  return message;
}

/** A proof. */
export interface DeviceProof {
  /** Data field of a host certificate: serial (7), public key (65), signature, each after its length. */
  readonly certificate: Uint8Array;
  /** The server's challenge (32). */
  readonly challenge: Uint8Array;
  /** DER, by the device's static key over `deviceProofMessage`. */
  readonly signature: Uint8Array;
}

/** Value of the header. */
export function encodeDeviceProof(proof: DeviceProof): string {
  const fields = new Map(
    Object.entries(proof).map(([name, bytes]) => {
      const copy = new Uint8Array(bytes);
      return [name, [copy.buffer, new Map()] as [ArrayBuffer, Map<string, never>]];
    }),
  );
  return serializeDictionary(fields);
}

/** Reads the header; undefined when it is malformed. */
export function parseDeviceProof(header: string): DeviceProof | undefined {
  try {
    const fields = parseDictionary(header);
    const bytes = (name: string): Uint8Array => {
      const value: unknown = fields.get(name)?.[0];
      if (!(value instanceof ArrayBuffer)) throw new TypeError(name);
      return new Uint8Array(value);
    };
    const proof = {
      certificate: bytes("certificate"),
      challenge: bytes("challenge"),
      signature: bytes("signature"),
    };
    return fields.size === 3 && proof.challenge.length === CHALLENGE_LENGTH ? proof : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Serial (14 lower-case hex digits) of the device that made the proof over this request; undefined when the issuer did not make its
 * certificate, or it did not sign. Whether the challenge is ours and fresh is not looked at here.
 * @param issuer public key of the issuer (65).
 * @param requestDigest SHA-256 of the request's DER (32).
 */
export function provenDevice(
  proof: DeviceProof,
  issuer: Uint8Array,
  requestDigest: Uint8Array,
): string | undefined {
  try {
    const certificate = parseHostCertificate(proof.certificate);
    if (!verifyHostCertificate(certificate, issuer)) return undefined;
    const message = deviceProofMessage(proof.challenge, requestDigest);
    if (!ecdsaVerify(certificate.publicKey, message, proof.signature)) return undefined;
    return toHex(certificate.serial).toLowerCase();
  } catch {
    return undefined;
  }
}

/** SHA-256 (32). */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}
