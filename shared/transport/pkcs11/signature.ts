/** A token's raw signature, made into what verifiers take. */

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { CodedError } from "shared/base/errors.ts";
import { ed25519Verify } from "shared/crypto/ed25519.ts";
import { p256RawToLowSDer, p256Verify } from "shared/crypto/p256.ts";
import { ecdsaVerify, normalizeLowS } from "shared/crypto/secp256k1.ts";
import type { Curve } from "../hsm.ts";
import "../hsm.ts";

const VERIFY = { secp256k1: ecdsaVerify, p256: p256Verify, ed25519: ed25519Verify } as const;

/**
 * The signature, verified: ECDSA as DER with S in the lower half, Ed25519 (64) as it is.
 * @param raw r and s as PKCS#11 gives them, 64 bytes (PKCS#11 v2.40 current mechanisms, section 2.3.1; Ed25519: v3.0, 2.3.14).
 * @param publicKey 65 bytes; of Ed25519 32.
 * @param message unhashed.
 * @throws {CodedError} `HSM_BAD_SIGNATURE` when it is malformed or does not verify.
 */
export function finishSignature(
  raw: Uint8Array,
  publicKey: Uint8Array,
  message: Uint8Array,
  label: string,
  curve: Curve = "secp256k1",
): Uint8Array {
  const signature = curve === "ed25519" ? new Uint8Array(raw) : toDer(raw, curve);
  if (!signature || !VERIFY[curve](publicKey, message, signature)) {
    throw new CodedError("HSM_BAD_SIGNATURE", `Cannot use signature by key ${label}: it does not verify`, {
      label,
    });
  }
  return signature;
}

function toDer(raw: Uint8Array, curve: "secp256k1" | "p256"): Uint8Array | undefined {
  try {
    if (curve === "p256") return p256RawToLowSDer(new Uint8Array(raw));
    return normalizeLowS(secp256k1.Signature.fromBytes(new Uint8Array(raw), "compact").toBytes("der"));
  } catch {
    return undefined;
  }
}
