/**
 * Cosignatures of witnesses (C2SP tlog-cosignature, Ed25519, v1): "as of this time, the largest consistent tree that I have
 * seen of this log is this one". The signature of the note line is an 8-byte time, big-endian, and 64 bytes of Ed25519.
 */

import { concat, readUint, toUtf8, writeUint } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import type { NoteSigner, NoteVerifier } from "./note.ts";
import {
  ED25519_SIGNATURE_LENGTH,
  SIGNATURE_TYPE_COSIGNATURE,
  type VerifierKey,
  verifyEd25519,
} from "./vkey.ts";

/** Length of the time in bytes. */
const TIME_LENGTH = 8;
/** Length of a cosignature in bytes, without the key ID. */
export const COSIGNATURE_LENGTH = TIME_LENGTH + ED25519_SIGNATURE_LENGTH;

/**
 * The message that a witness signs.
 * @param timestamp seconds since 1970, at most 2^53 - 1.
 * @param text text of the checkpoint note, with its final newline and without signature lines.
 */
export function cosignatureMessage(timestamp: number, text: string): Uint8Array {
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) {
    throw new CodedError("COSIGNATURE_TIME", `Cannot cosign at ${timestamp}: not a time in seconds`);
  }
  return toUtf8(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

/** A cosignature taken apart. */
export interface Cosignature {
  /** Seconds since 1970. */
  readonly timestamp: number;
  /** Ed25519 signature (64) of {@link cosignatureMessage}. */
  readonly signature: Uint8Array;
}

/** Takes a cosignature apart; undefined when it is none. A time over 2^53 - 1 is none here. */
export function parseCosignature(blob: Uint8Array): Cosignature | undefined {
  if (blob.length !== COSIGNATURE_LENGTH) return undefined;
  const high = readUint(blob.subarray(0, 4));
  const low = readUint(blob.subarray(4, TIME_LENGTH));
  const timestamp = high * 2 ** 32 + low;
  return Number.isSafeInteger(timestamp) ? { timestamp, signature: blob.slice(TIME_LENGTH) } : undefined;
}

/** The signature blob of a note line. @param signature 64 bytes. */
export function formatCosignature({ timestamp, signature }: Cosignature): Uint8Array {
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) {
    throw new CodedError("COSIGNATURE_TIME", `Cannot cosign at ${timestamp}: not a time in seconds`);
  }
  return concat(writeUint(Math.floor(timestamp / 2 ** 32), 4), writeUint(timestamp % 2 ** 32, 4), signature);
}

/** Verifier of a witness's key, type 0x04. @throws {CodedError} `COSIGNATURE_KEY` for a key of another type. */
export function cosignatureVerifier(key: VerifierKey): NoteVerifier {
  if (key.type !== SIGNATURE_TYPE_COSIGNATURE) {
    throw new CodedError(
      "COSIGNATURE_KEY",
      `Cannot verify cosignatures: ${key.name} is no witness key (type 4)`,
    );
  }
  return {
    name: key.name,
    keyId: key.keyId,
    verify(text, blob) {
      const parsed = parseCosignature(blob);
      return parsed !== undefined &&
        verifyEd25519(key.publicKey, cosignatureMessage(parsed.timestamp, text), parsed.signature);
    },
  };
}

/**
 * Signer of cosignatures.
 * @param sign Ed25519 (64) over a message, with the key's private half.
 * @param seconds the time, in seconds since 1970, when each is made.
 * @throws {CodedError} `COSIGNATURE_KEY` for a key of another type.
 */
export function cosigner(
  key: VerifierKey,
  sign: (message: Uint8Array) => Promise<Uint8Array>,
  seconds: () => number,
): NoteSigner {
  if (key.type !== SIGNATURE_TYPE_COSIGNATURE) {
    throw new CodedError("COSIGNATURE_KEY", `Cannot cosign: ${key.name} is no witness key (type 4)`);
  }
  return {
    name: key.name,
    keyId: key.keyId,
    async sign(text) {
      const timestamp = seconds();
      return formatCosignature({ timestamp, signature: await sign(cosignatureMessage(timestamp, text)) });
    },
  };
}

defineErrors({
  COSIGNATURE_TIME: { fault: "bug", retry: false, next: "Report it." },
  COSIGNATURE_KEY: {
    fault: "configuration",
    retry: false,
    next: "Give the witness's verifier key of type 4 (C2SP tlog-cosignature).",
  },
});
