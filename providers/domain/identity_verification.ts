/**
 * What a verifier's result must say before a provider believes it: pure checks over claims whose signature was verified
 * (vault/verification_result.ts). Claims as in OpenID Connect for Identity Assurance 1.0, section 5.
 */

import { z } from "zod";
import type { ProviderReason } from "shared/log/reasons.ts";
import type { Identity } from "shared/protocol/recover/identity.ts";

/** Clocks of verifier and provider may differ by this, in seconds. */
export const CLOCK_SKEW_SECONDS = 60;
/** A result holds no longer than this, whatever it says of itself, in seconds. */
export const RESULT_LIFE_SECONDS = 900;

const text = z.string().min(1).max(195);

/** The claims of a result. Others may stand beside them. */
export const VerificationClaims = z.object({
  /** The verifier. */
  iss: text,
  /** The provider's name: a result for another provider is none for this. */
  aud: text,
  /** Identifier of the result, single use. */
  jti: z.string().min(8).max(128),
  iat: z.int(),
  exp: z.int(),
  /** Upper-case hex of the nonce of section 4 (32). */
  nonce: z.string().regex(/^[0-9A-F]{64}$/),
  /** The four digits that the device shows, asked of the person by the first provider's verifier. */
  security_code: z.string().regex(/^\d{4}$/).optional(),
  verified_claims: z.object({
    verification: z.object({ trust_framework: text }),
    claims: z.object({
      given_name: text,
      family_name: text,
      birthdate: text,
      place_of_birth: z.object({ locality: text }),
    }),
  }),
});
/** See {@link VerificationClaims}. */
export type VerificationClaims = z.infer<typeof VerificationClaims>;

/** What the provider expects of a result. */
export interface ExpectedVerification {
  readonly issuer: string;
  readonly providerName: string;
  /** Upper-case hex (32). */
  readonly nonce: string;
  /** Null where the device showed its code to another provider's channel. */
  readonly securityCode: string | null;
  readonly identity: Identity;
  readonly nowSeconds: number;
  /** Whether a result of this identifier was taken before. */
  readonly used: boolean;
}

/** Why a result is not believed: the part of a {@link ProviderReason} behind `verification-`. */
export type VerificationFault = ProviderReason extends infer R
  ? R extends `verification-${infer F}` ? F : never
  : never;

/** Why a result is not believed; undefined when it is. */
export function verificationFault(
  claims: VerificationClaims,
  expected: ExpectedVerification,
): VerificationFault | undefined {
  const { nowSeconds: now, identity } = expected;
  const { given_name, family_name, birthdate, place_of_birth } = claims.verified_claims.claims;
  const checks: readonly (readonly [fault: VerificationFault, holds: boolean])[] = [
    ["issuer", claims.iss === expected.issuer],
    ["audience", claims.aud === expected.providerName],
    ["nonce", claims.nonce === expected.nonce],
    ["future", claims.iat <= now + CLOCK_SKEW_SECONDS],
    ["expired", now <= claims.exp + CLOCK_SKEW_SECONDS],
    ["old", now <= claims.iat + RESULT_LIFE_SECONDS],
    ["used", !expected.used],
    ["security-code", expected.securityCode === null || claims.security_code === expected.securityCode],
    ["first-name", given_name === identity.firstName],
    ["last-name", family_name === identity.lastName],
    ["date-of-birth", birthdate === identity.dateOfBirth],
    ["place-of-birth", place_of_birth.locality === identity.placeOfBirth],
  ];
  return checks.find(([, holds]) => !holds)?.[0];
}
