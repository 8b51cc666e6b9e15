/** The public record key as a file: JWK, or PEM (SubjectPublicKeyInfo). */

import { exportJWK, importSPKI } from "jose";
import { z } from "zod";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { JWS_ALGORITHM, jwsKeyOfPoint, type JwsPublicKey } from "shared/protocol/wire/jws.ts";

const COORDINATE = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
/** Members that a JWK may have besides (RFC 7517, section 4) say nothing here; a private one is refused. */
const PublicJwk = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: COORDINATE,
  y: COORDINATE,
  d: z.never().optional(),
});

/** Reads a key. @throws {CodedError} `BATCH_KEY_FILE`, `JWS_KEY` for a point off the curve. */
export async function readPublicKey(text: string): Promise<JwsPublicKey> {
  // A PEM file may have words around its block (RFC 7468, section 2).
  const pem = /-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/.exec(text)?.[0];
  let jwk: z.infer<typeof PublicJwk>;
  try {
    jwk = PublicJwk.parse(
      pem !== undefined
        ? await exportJWK(await importSPKI(pem, JWS_ALGORITHM, { extractable: true }))
        : JSON.parse(text),
    );
  } catch {
    // What it says is not repeated: someone may have given a private key.
    throw new CodedError("BATCH_KEY_FILE", "Cannot use key: it is no public P-256 key as JWK or PEM");
  }
  const part = (value: string) => Uint8Array.fromBase64(value, { alphabet: "base64url" });
  return await jwsKeyOfPoint(Uint8Array.of(4, ...part(jwk.x), ...part(jwk.y)));
}

defineErrors({
  BATCH_KEY_FILE: {
    fault: "usage",
    retry: false,
    next:
      "`rk batch key --out FILE` writes the factory's record key; compare its thumbprint with `rk hsm keys`.",
  },
});
