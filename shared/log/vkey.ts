/**
 * Verifier keys of notes as text, `<name>+<key ID in hex>+<base64(type || public key)>` (C2SP signed-note, verifier keys), and
 * Ed25519 signatures of a note's text (type 0x01).
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { fromStrictBase64 } from "../base/base64.ts";
import { concat, toUtf8 } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import { isKeyName, noteKeyId, type NoteVerifier } from "./note.ts";

/** Ed25519 over the note's text. */
export const SIGNATURE_TYPE_ED25519 = 0x01;
/** Ed25519 over a time and the note's text: C2SP tlog-cosignature, in cosignature.ts. */
export const SIGNATURE_TYPE_COSIGNATURE = 0x04;
/** Length of an Ed25519 public key in bytes. */
export const ED25519_PUBLIC_KEY_LENGTH = 32;
/** Length of an Ed25519 signature in bytes. */
export const ED25519_SIGNATURE_LENGTH = 64;
/** Longest verifier key in characters. */
export const VKEY_LENGTH_MAX = 1024;

/** A verifier key as its text says. */
export interface VerifierKey {
  readonly name: string;
  readonly keyId: number;
  /** Signature type: {@link SIGNATURE_TYPE_ED25519} or {@link SIGNATURE_TYPE_COSIGNATURE}. */
  readonly type: number;
  /** Ed25519 public key (32). */
  readonly publicKey: Uint8Array;
}

/** A verifier key of these parts; its key ID is computed. @throws {CodedError} `VKEY_MALFORMED`. */
export function verifierKey(name: string, type: number, publicKey: Uint8Array): VerifierKey {
  if (!isKeyName(name)) {
    throw malformed("the name is empty, or has a space, a plus or a control character");
  }
  if (type !== SIGNATURE_TYPE_ED25519 && type !== SIGNATURE_TYPE_COSIGNATURE) {
    throw new CodedError("VKEY_TYPE", `Cannot use verifier key: signature type ${type} is not known`);
  }
  if (publicKey.length !== ED25519_PUBLIC_KEY_LENGTH) throw malformed("the public key is not 32 bytes");
  return { name, type, publicKey, keyId: noteKeyId(name, type, publicKey) };
}

/** Writes a verifier key. */
export function formatVerifierKey({ name, type, publicKey, keyId }: VerifierKey): string {
  return `${name}+${keyId.toString(16).padStart(8, "0")}+${
    concat(Uint8Array.of(type), publicKey).toBase64()
  }`;
}

/**
 * Reads a verifier key.
 * @throws {CodedError} `VKEY_MALFORMED`, `VKEY_TYPE` for a signature type that is not known here, `VKEY_ID` when the key ID is
 * not that of name and key.
 */
export function parseVerifierKey(text: string): VerifierKey {
  // Base64 has pluses of its own: only the first two separate.
  const parts = text.length > VKEY_LENGTH_MAX
    ? null
    : /^([^+]*)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text);
  if (parts === null) throw malformed("it is not <name>+<8 hex digits>+<Base64>");
  const encoded = fromStrictBase64(parts[3]!);
  if (encoded === undefined || encoded.length < 2) throw malformed("the key is not Base64");
  const key = verifierKey(parts[1]!, encoded[0]!, encoded.slice(1));
  if (key.keyId !== parseInt(parts[2]!, 16)) {
    throw new CodedError("VKEY_ID", "Cannot use verifier key: the key ID is not that of its name and key");
  }
  return key;
}

/**
 * Verification of Ed25519 (RFC 8032, 5.1.7): canonical encodings only, so that all verifiers agree.
 * @param signature 64 bytes; another length is not valid.
 */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== ED25519_SIGNATURE_LENGTH) return false;
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false; // no point on the curve
  }
}

/** Verifier of a key of type 0x01. @throws {CodedError} `VKEY_TYPE` for a key of another type. */
export function ed25519Verifier(key: VerifierKey): NoteVerifier {
  if (key.type !== SIGNATURE_TYPE_ED25519) {
    throw new CodedError("VKEY_TYPE", `Cannot verify note: ${key.name} is no key for notes (type 1)`);
  }
  return {
    name: key.name,
    keyId: key.keyId,
    verify: (text, signature) => verifyEd25519(key.publicKey, toUtf8(text), signature),
  };
}

function malformed(state: string): CodedError {
  return new CodedError("VKEY_MALFORMED", `Cannot read verifier key: ${state}`);
}

defineErrors({
  VKEY_MALFORMED: {
    fault: "configuration",
    retry: false,
    next: "Give a verifier key as `<name>+<key ID>+<base64>` (C2SP signed-note).",
  },
  VKEY_TYPE: {
    fault: "configuration",
    retry: false,
    next:
      "Logs sign with Ed25519 (type 1), witnesses with cosignatures (type 4): check which key belongs where.",
  },
  VKEY_ID: {
    fault: "configuration",
    retry: false,
    next: "The key was copied wrongly, or name and key do not belong together: copy it again.",
  },
});
