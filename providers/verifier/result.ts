/**
 * The result of an identity verification: claims as in OpenID Connect for Identity Assurance 1.0, signed by the verifier (JWS)
 * and encrypted to the vault of its provider (JWE). A vendor's own service makes the same.
 */

import { CompactEncrypt, CompactSign, importJWK, type JWK } from "jose";
import { z } from "zod";
import { toUtf8 } from "shared/base/bytes.ts";
import type { RingKey } from "./key_ring.ts";

const text = z.string().trim().min(1, "is missing").max(195, "is too long");

/** What the page is told of a person, and of the session that asks. */
export const VerificationForm = z.strictObject({
  /** Of recover.md, section 4 (32 bytes): what the result is bound to. */
  nonce: z.string().trim().toUpperCase().regex(/^[0-9A-F]{64}$/, "is not 64 hexadecimal digits"),
  firstName: text,
  lastName: text,
  dateOfBirth: text,
  placeOfBirth: text,
  /** The four digits that the device shows to the first provider's verifier; empty at the second. */
  securityCode: z.string().trim().regex(/^(\d{4})?$/, "is not four digits").default(""),
  /** Who looked at the person's evidence says so. */
  confirmed: z.literal("yes", "must be ticked"),
});
/** See {@link VerificationForm}. */
export type VerificationForm = z.infer<typeof VerificationForm>;

/** Who makes a result, and for whom. */
export interface ResultParties {
  readonly issuer: string;
  /** The one provider that trusts this verifier. */
  readonly provider: { readonly name: string; readonly vaultKey: JWK };
  /** How long a result holds, in seconds. */
  readonly resultSeconds: number;
}

/** A sealed result. */
export interface SealedResult {
  /** JWE in compact form, one line. */
  readonly result: string;
  /** Seconds since 1970. */
  readonly expiresAt: number;
}

/** Makes a result. @param now seconds since 1970. */
export async function sealResult(
  form: VerificationForm,
  { issuer, provider, resultSeconds }: ResultParties,
  signer: RingKey,
  now: number,
): Promise<SealedResult> {
  const expiresAt = now + resultSeconds;
  const claims = {
    iss: issuer,
    aud: provider.name,
    jti: crypto.randomUUID(),
    iat: now,
    exp: expiresAt,
    nonce: form.nonce,
    ...(form.securityCode === "" ? {} : { security_code: form.securityCode }),
    verified_claims: {
      // The name of the framework tells every reader that nobody was looked at.
      verification: {
        trust_framework: "reference-not-for-production",
        time: new Date(now * 1000).toISOString(),
      },
      claims: {
        given_name: form.firstName,
        family_name: form.lastName,
        birthdate: form.dateOfBirth,
        place_of_birth: { locality: form.placeOfBirth },
      },
    },
  };
  const signed = await new CompactSign(toUtf8(JSON.stringify(claims)))
    .setProtectedHeader({ alg: "ES256", kid: signer.kid, typ: "JWT" })
    .sign(await importJWK(signer.key, "ES256"));
  const result = await new CompactEncrypt(toUtf8(signed))
    .setProtectedHeader({ alg: "ECDH-ES+A256KW", enc: "A256GCM", cty: "JWT" })
    .encrypt(await importJWK(provider.vaultKey, "ECDH-ES+A256KW"));
  return { result, expiresAt };
}
