/** A token's raw ECDSA signature, made into what verifiers take. */

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { CodedError } from "shared/base/errors.ts";
import { p256RawToLowSDer, p256Verify } from "shared/crypto/p256.ts";
import { ecdsaVerify, normalizeLowS } from "shared/crypto/secp256k1.ts";
import type { Curve } from "../hsm.ts";
import "../hsm.ts";

/**
 * DER with S in the lower half, verified.
 * @param raw r and s as PKCS#11 gives them, 64 bytes (PKCS#11 v2.40 current mechanisms, section 2.3.1).
 * @param publicKey 65 bytes.
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
  const der = toDer(raw, curve);
  const verify = curve === "p256" ? p256Verify : ecdsaVerify;
  if (!der || !verify(publicKey, message, der)) {
    throw new CodedError("HSM_BAD_SIGNATURE", `Cannot use signature by key ${label}: it does not verify`, {
      label,
    });
  }
  return der;
}

function toDer(raw: Uint8Array, curve: Curve): Uint8Array | undefined {
  try {
    if (curve === "p256") return p256RawToLowSDer(new Uint8Array(raw));
    return normalizeLowS(secp256k1.Signature.fromBytes(new Uint8Array(raw), "compact").toBytes("der"));
  } catch {
    return undefined;
  }
}
