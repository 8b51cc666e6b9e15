/** Keys for tests: Ed25519 in memory, made from a number. Never for a real log. */

import { ed25519 } from "@noble/curves/ed25519.js";
import { toUtf8 } from "../../base/bytes.ts";
import { cosignatureVerifier, cosigner } from "../cosignature.ts";
import type { NoteSigner, NoteVerifier } from "../note.ts";
import {
  ed25519Verifier,
  formatVerifierKey,
  SIGNATURE_TYPE_COSIGNATURE,
  SIGNATURE_TYPE_ED25519,
  verifierKey,
} from "../vkey.ts";

/** A key pair as signer, verifier and text. */
export interface TestKey {
  readonly signer: NoteSigner;
  readonly verifier: NoteVerifier;
  /** The public half as a verifier key. */
  readonly vkey: string;
}

function seedOf(seed: number): Uint8Array {
  return new Uint8Array(32).fill(seed);
}

/** A log's key. @param seed 0 to 255. */
export function checkpointSigner(name: string, seed: number): TestKey {
  const secret = seedOf(seed);
  const key = verifierKey(name, SIGNATURE_TYPE_ED25519, ed25519.getPublicKey(secret));
  return {
    signer: {
      name,
      keyId: key.keyId,
      sign: (text) => Promise.resolve(ed25519.sign(toUtf8(text), secret)),
    },
    verifier: ed25519Verifier(key),
    vkey: formatVerifierKey(key),
  };
}

/** A witness's key. @param seed 0 to 255. @param seconds its clock, seconds since 1970. */
export function witnessSigner(name: string, seed: number, seconds: () => number): TestKey {
  const secret = seedOf(seed);
  const key = verifierKey(name, SIGNATURE_TYPE_COSIGNATURE, ed25519.getPublicKey(secret));
  return {
    signer: cosigner(key, (message) => Promise.resolve(ed25519.sign(message, secret)), seconds),
    verifier: cosignatureVerifier(key),
    vkey: formatVerifierKey(key),
  };
}
