/**
 * Signed records: compact JWS (RFC 7515) with ES256 (RFC 7518, section 3.4), made with a P-256 key that stays in an HSM and
 * verified with its public key alone. The header names the kind of record (`typ`) and the key by its thumbprint (RFC 7638),
 * so that a record of one kind never passes for another.
 */

import { calculateJwkThumbprint, compactVerify, importJWK } from "jose";
import { fromUtf8, toUtf8 } from "../../base/bytes.ts";
import { canonicalJson, type Json } from "../../base/canonical_json.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { isP256PublicKey, P256_PUBLIC_KEY_LENGTH, p256DerToRaw } from "../../crypto/p256.ts";

/** The only algorithm that is made or accepted. */
export const JWS_ALGORITHM = "ES256";
/** Longest compact JWS that is read, in characters. */
export const JWS_MAX = 64 * 1024;

/** Signs bytes in the HSM: ECDSA on P-256 with SHA-256, DER. */
export type JwsSign = (message: Uint8Array) => Promise<Uint8Array>;

/** A public key that verifies records. */
export interface JwsPublicKey {
  /** P-256 public key: `kty`, `crv`, `x`, `y`. */
  readonly jwk: { readonly kty: "EC"; readonly crv: "P-256"; readonly x: string; readonly y: string };
  /** RFC 7638 thumbprint, SHA-256, base64url: the records' `kid`. */
  readonly thumbprint: string;
}

/** The key of an uncompressed point (65 bytes). @throws {CodedError} `JWS_KEY` unless it is on P-256. */
export async function jwsKeyOfPoint(point: Uint8Array): Promise<JwsPublicKey> {
  if (point.length !== P256_PUBLIC_KEY_LENGTH || !isP256PublicKey(point)) {
    throw new CodedError("JWS_KEY", "Cannot use record key: it is not a point of P-256");
  }
  const part = (from: number) => base64url(point.subarray(from, from + 32));
  const jwk = { kty: "EC", crv: "P-256", x: part(1), y: part(33) } as const;
  return { jwk, thumbprint: await calculateJwkThumbprint(jwk, "sha256") };
}

/** Signs a value. @param typ kind of record. @throws {CodedError} those of the HSM. */
export async function signJws(payload: Json, typ: string, kid: string, sign: JwsSign): Promise<string> {
  const header = base64url(toUtf8(canonicalJson({ alg: JWS_ALGORITHM, kid, typ })));
  const input = `${header}.${base64url(toUtf8(canonicalJson(payload)))}`;
  return `${input}.${base64url(p256DerToRaw(await sign(toUtf8(input))))}`;
}

/** Why a record does not verify. */
export type JwsFault = "form" | "kind" | "other-key" | "signature";

/** What `verifyJws` says; `payload` is what was signed, to be checked with a schema. */
export type JwsVerdict =
  | { readonly kind: "good"; readonly payload: unknown }
  | { readonly kind: "bad"; readonly fault: JwsFault };

/**
 * Verifies a record of a kind.
 * @returns `form` when it is no compact JWS of ours, `kind` for another `typ`, `other-key` when it names another key,
 *   `signature` when the key that it names did not sign this. Of a record that was changed any of them may be told.
 */
export async function verifyJws(jws: string, typ: string, key: JwsPublicKey): Promise<JwsVerdict> {
  const header = headerOf(jws);
  if (header === undefined) return { kind: "bad", fault: "form" };
  if (header.typ !== typ) return { kind: "bad", fault: "kind" };
  if (header.kid !== key.thumbprint) return { kind: "bad", fault: "other-key" };
  try {
    const { payload } = await compactVerify(jws, await imported(key), { algorithms: [JWS_ALGORITHM] });
    return { kind: "good", payload: JSON.parse(fromUtf8(payload)) };
  } catch {
    return { kind: "bad", fault: "signature" };
  }
}

const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}$/;

function headerOf(jws: string): { alg?: unknown; kid?: unknown; typ?: unknown } | undefined {
  if (jws.length > JWS_MAX || !FORM.test(jws)) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(jws.slice(0, jws.indexOf(".")), { alphabet: "base64url" });
    const header: unknown = JSON.parse(fromUtf8(bytes));
    return typeof header === "object" && header !== null ? header : undefined;
  } catch {
    return undefined;
  }
}

/** A key is imported once for many records. */
const keys = new WeakMap<JwsPublicKey, ReturnType<typeof importJWK>>();

function imported(key: JwsPublicKey): ReturnType<typeof importJWK> {
  let pending = keys.get(key);
  if (pending === undefined) keys.set(key, pending = importJWK(key.jwk, JWS_ALGORITHM));
  return pending;
}

function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

defineErrors({
  JWS_KEY: {
    fault: "configuration",
    retry: false,
    http: 500,
    next: "The record key is a P-256 signing key: `rk hsm init` makes it, `rk hsm keys` shows it.",
  },
});
