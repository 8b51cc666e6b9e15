/**
 * Sealed values: compact JWE (RFC 7516), ECDH-ES on P-256 with A256GCM, to one recipient's key, so that
 * whoever ends TLS on the way cannot read them. Sealing proves nothing about who sealed: what it carries
 * is checked by its use (a DGI 8137 key that the service did not draw attests nothing).
 */

import { compactDecrypt, CompactEncrypt, importJWK } from "jose";
import { fromUtf8, toUtf8 } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";

/** Key agreement of every sealed value (RFC 7518, section 4.6). */
export const SEALED_KEY_AGREEMENT = "ECDH-ES";
/** Content encryption of every sealed value (RFC 7518, section 5.3). */
export const SEALED_ENCRYPTION = "A256GCM";
/** Longest sealed value that is opened, in characters. */
export const SEALED_MAX = 8192;

defineErrors({
  SEALED_KEY: {
    fault: "configuration",
    retry: false,
    next: "Give a P-256 JWK (kty EC, crv P-256); the private key has a member d.",
  },
  SEALED_UNREADABLE: {
    fault: "peer",
    retry: false,
    next: "The sealed answer is not for this key, or was changed on its way: check the sealing key.",
  },
});

/** Keys are imported once; a private JWK serves both halves, so each half has its own cache. */
const importedPublic = new WeakMap<object, Promise<CryptoKey | Uint8Array>>();
const importedPrivate = new WeakMap<object, Promise<CryptoKey | Uint8Array>>();

function p256Key(jwk: JsonWebKey, isPrivate: boolean): Promise<CryptoKey | Uint8Array> {
  if (jwk.kty !== "EC" || jwk.crv !== "P-256" || (isPrivate && jwk.d === undefined)) {
    throw new CodedError("SEALED_KEY", "Cannot use sealing key: it is not a P-256 key of the right half");
  }
  const imported = isPrivate ? importedPrivate : importedPublic;
  let pending = imported.get(jwk);
  if (pending === undefined) {
    const { kty, crv, x, y, d } = jwk;
    pending = importJWK(isPrivate ? { kty, crv, x, y, d } : { kty, crv, x, y }, SEALED_KEY_AGREEMENT);
    imported.set(jwk, pending);
  }
  return pending;
}

/**
 * Seals a JSON value. The bytes of the plain text are wiped; strings inside `plain` are the caller's.
 * @param recipient P-256 public key.
 * @throws {CodedError} `SEALED_KEY`.
 */
export async function seal(plain: unknown, recipient: JsonWebKey): Promise<string> {
  const key = await p256Key(recipient, false);
  const bytes = toUtf8(JSON.stringify(plain));
  try {
    return await new CompactEncrypt(bytes)
      .setProtectedHeader({ alg: SEALED_KEY_AGREEMENT, enc: SEALED_ENCRYPTION })
      .encrypt(key);
  } finally {
    bytes.fill(0);
  }
}

/**
 * Opens a sealed value. The result is as the sender wrote it: parse it with a schema.
 * @param privateKey P-256 private key.
 * @throws {CodedError} `SEALED_KEY`, `SEALED_UNREADABLE` whatever was wrong with the value.
 */
export async function unseal(sealed: string, privateKey: JsonWebKey): Promise<unknown> {
  const key = await p256Key(privateKey, true);
  try {
    if (sealed.length > SEALED_MAX) throw new Error("too long");
    const { plaintext } = await compactDecrypt(sealed, key, {
      keyManagementAlgorithms: [SEALED_KEY_AGREEMENT],
      contentEncryptionAlgorithms: [SEALED_ENCRYPTION],
    });
    try {
      return JSON.parse(fromUtf8(plaintext));
    } finally {
      plaintext.fill(0);
    }
  } catch {
    throw new CodedError("SEALED_UNREADABLE", "Cannot open sealed value: it does not decrypt with this key");
  }
}
