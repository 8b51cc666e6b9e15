import assert from "node:assert/strict";
import { exportSPKI, importJWK } from "jose";
import { codeOf } from "shared/base/errors.ts";
import { makeRecordKey } from "tests/environment/batch_export.ts";
import { readPublicKey } from "./public_key.ts";

const { publicKey } = await makeRecordKey();

Deno.test("readPublicKey() takes a JWK with or without other members, and PEM", async () => {
  const pem = await exportSPKI(await importJWK(publicKey.jwk, "ES256", { extractable: true }) as CryptoKey);
  const named = { ...publicKey.jwk, kid: publicKey.thumbprint, use: "sig", alg: "ES256" };
  for (const text of [JSON.stringify(publicKey.jwk), JSON.stringify(named), pem, `note\n${pem}\n`]) {
    assert.deepEqual(await readPublicKey(text), publicKey);
  }
});

Deno.test("readPublicKey() refuses what is no public P-256 key", async () => {
  const { x, y } = publicKey.jwk;
  const refused = [
    "",
    "{}",
    JSON.stringify({ ...publicKey.jwk, crv: "P-384" }),
    JSON.stringify({ ...publicKey.jwk, d: x }),
    JSON.stringify({ ...publicKey.jwk, y: y.slice(1) }),
    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
  ];
  for (const text of refused) {
    await assert.rejects(readPublicKey(text), (error) => codeOf(error) === "BATCH_KEY_FILE", text);
  }
  const off = JSON.stringify({ ...publicKey.jwk, y: x });
  await assert.rejects(readPublicKey(off), (error) => codeOf(error) === "JWS_KEY");
});
