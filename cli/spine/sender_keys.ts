/** Keys with which stations and batch managers sign requests (Ed25519) and open sealed answers (P-256). */

import { exists, writePrivate } from "../paths.ts";

/** Public halves, as the attestation service's configuration lists them. */
export interface SenderPublicKeys {
  readonly signingKey: { kty: "OKP"; crv: "Ed25519"; x: string };
  readonly sealingKey: { kty: "EC"; crv: "P-256"; x: string; y: string };
}

/** Makes or keeps `signing.jwk` and `sealing.jwk` in a folder (mode 0600) and returns their public halves. */
export async function provisionSenderKeys(folder: string): Promise<SenderPublicKeys> {
  const signing = await keyFile(
    `${folder}/signing.jwk`,
    () => crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]) as Promise<CryptoKeyPair>,
  );
  const sealing = await keyFile(
    `${folder}/sealing.jwk`,
    () => crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]),
  );
  return {
    signingKey: { kty: "OKP", crv: "Ed25519", x: signing.x! },
    sealingKey: { kty: "EC", crv: "P-256", x: sealing.x!, y: sealing.y! },
  };
}

async function keyFile(path: string, generate: () => Promise<CryptoKeyPair>): Promise<JsonWebKey> {
  if (await exists(path)) return JSON.parse(await Deno.readTextFile(path));
  const { privateKey } = await generate();
  const { kty, crv, x, y, d } = await crypto.subtle.exportKey("jwk", privateKey);
  const jwk = { kty, crv, x, ...(y ? { y } : {}), d };
  await writePrivate(path, JSON.stringify(jwk));
  return jwk as JsonWebKey;
}
