/**
 * Opens what an identity verifier sealed to the vault: a JWT signed by the verifier (JWS) inside a JWE to the vault's P-256
 * key. The verifier's keys come as a signed set, so that a node that fetches them cannot exchange them: OpenID Federation 1.0,
 * section 5.2.1, `signed_jwks_uri`.
 */

import {
  compactDecrypt,
  compactVerify,
  createLocalJWKSet,
  importJWK,
  type JSONWebKeySet,
  type JWK,
} from "jose";
import { z } from "zod";
import { fromUtf8 } from "shared/base/bytes.ts";
import { VerificationClaims } from "../domain/identity_verification.ts";

const KEY_ENCRYPTION = ["ECDH-ES+A256KW"];
const CONTENT_ENCRYPTION = ["A256GCM"];
const SIGNATURES = ["ES256", "EdDSA"];
/** Keys of a set at most. */
const KEYS_MAX = 16;

/** `typ` of the signed set. */
export const KEY_SET_TYPE = "jwk-set+jwt";

const KeySet = z.object({
  iss: z.string(),
  exp: z.int(),
  keys: z.array(z.object({ kid: z.string().min(1), kty: z.enum(["EC", "OKP"]) }).loose()).min(1).max(
    KEYS_MAX,
  ),
});

/** What a provider trusts of a verifier. */
export interface TrustedVerifier {
  readonly issuer: string;
  /** The verifier's own root key, pinned in the vault's configuration: it signs the set of keys. */
  readonly pinnedKey: JWK;
}

/** A result, or why there is none. Never says more than which layer failed. */
export type OpenedVerification =
  | { readonly kind: "claims"; readonly claims: VerificationClaims }
  | { readonly kind: "fault"; readonly fault: "sealed" | "keys" | "signature" | "claims" };

/** Opens a result. @param keySet the verifier's signed key set, as the node has it. @param vaultKey private P-256 key. */
export async function openVerification(
  sealed: string,
  keySet: string | null,
  vaultKey: JWK,
  verifier: TrustedVerifier,
  nowSeconds: number,
): Promise<OpenedVerification> {
  let signed: string;
  try {
    const { plaintext } = await compactDecrypt(sealed, await importJWK(vaultKey, KEY_ENCRYPTION[0]), {
      keyManagementAlgorithms: KEY_ENCRYPTION,
      contentEncryptionAlgorithms: CONTENT_ENCRYPTION,
    });
    signed = fromUtf8(plaintext);
  } catch {
    return { kind: "fault", fault: "sealed" };
  }
  const keys = await verifierKeys(keySet, verifier, nowSeconds);
  if (keys === undefined) return { kind: "fault", fault: "keys" };
  let payload: Uint8Array;
  try {
    ({ payload } = await compactVerify(signed, createLocalJWKSet(keys), { algorithms: SIGNATURES }));
  } catch {
    return { kind: "fault", fault: "signature" };
  }
  try {
    return { kind: "claims", claims: VerificationClaims.parse(JSON.parse(fromUtf8(payload))) };
  } catch {
    return { kind: "fault", fault: "claims" };
  }
}

async function verifierKeys(
  keySet: string | null,
  { issuer, pinnedKey }: TrustedVerifier,
  nowSeconds: number,
): Promise<JSONWebKeySet | undefined> {
  if (keySet === null) return undefined;
  try {
    const { payload, protectedHeader } = await compactVerify(keySet, await importJWK(pinnedKey, "ES256"), {
      algorithms: SIGNATURES,
    });
    const set = KeySet.parse(JSON.parse(fromUtf8(payload)));
    const holds = protectedHeader.typ === KEY_SET_TYPE && set.iss === issuer && nowSeconds <= set.exp;
    return holds ? { keys: set.keys } : undefined;
  } catch {
    return undefined;
  }
}
