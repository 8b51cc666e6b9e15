/** An identity verifier for tests: signs claims with a key of its signed set, and seals them to a vault. */

import { CompactEncrypt, CompactSign, exportJWK, generateKeyPair, importJWK, type JWK } from "jose";
import { toUtf8 } from "shared/base/bytes.ts";
import type { RecoverIdentity } from "shared/protocol/wire/recover.ts";
import { KEY_SET_TYPE } from "providers/vault/verification_result.ts";

/** A verifier. */
export interface TestVerifier {
  readonly issuer: string;
  readonly pinnedKey: JWK;
  /** The signed set as it is now. */
  keySet(): string;
  /** Takes another signing key; the set has the new one only. */
  rotate(): Promise<void>;
  /** A result, sealed. `change` exchanges claims. */
  result(of: ResultOptions): Promise<string>;
}

/** What a result says. */
export interface ResultOptions {
  readonly vaultKey: JWK;
  readonly nonce: string;
  readonly providerName: string;
  readonly identity: RecoverIdentity;
  readonly securityCode?: string;
  readonly nowSeconds: number;
  readonly change?: Readonly<Record<string, unknown>>;
}

/** Makes a verifier. */
export async function makeVerifier(issuer: string, nowSeconds: number): Promise<TestVerifier> {
  const root = await generateKeyPair("ES256", { extractable: true });
  let signer = await generateKeyPair("ES256", { extractable: true });
  let kid = "key-1";
  let set = "";
  const publish = async () => {
    const payload = {
      iss: issuer,
      exp: nowSeconds + 86_400,
      keys: [{ ...await exportJWK(signer.publicKey), kid }],
    };
    set = await new CompactSign(toUtf8(JSON.stringify(payload)))
      .setProtectedHeader({ alg: "ES256", typ: KEY_SET_TYPE })
      .sign(root.privateKey);
  };
  await publish();
  return {
    issuer,
    pinnedKey: await exportJWK(root.publicKey),
    keySet: () => set,
    async rotate() {
      signer = await generateKeyPair("ES256", { extractable: true });
      kid = `key-${crypto.randomUUID()}`;
      await publish();
    },
    async result({ vaultKey, nonce, providerName, identity, securityCode, nowSeconds: now, change }) {
      const claims = {
        iss: issuer,
        aud: providerName,
        jti: crypto.randomUUID(),
        iat: now,
        exp: now + 300,
        nonce,
        ...(securityCode === undefined ? {} : { security_code: securityCode }),
        verified_claims: {
          verification: { trust_framework: "test" },
          claims: {
            given_name: identity.firstName,
            family_name: identity.lastName,
            birthdate: identity.dateOfBirth,
            place_of_birth: { locality: identity.placeOfBirth },
          },
        },
        ...change,
      };
      const signed = await new CompactSign(toUtf8(JSON.stringify(claims)))
        .setProtectedHeader({ alg: "ES256", kid, typ: "JWT" })
        .sign(signer.privateKey);
      return await new CompactEncrypt(toUtf8(signed))
        .setProtectedHeader({ alg: "ECDH-ES+A256KW", enc: "A256GCM", cty: "JWT" })
        .encrypt(await importJWK(vaultKey, "ECDH-ES+A256KW"));
    },
  };
}
