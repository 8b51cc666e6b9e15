import assert from "node:assert/strict";
import { CompactSign, compactVerify, generateKeyPair, importJWK } from "jose";
import { toUtf8 } from "../../base/bytes.ts";
import { codeOf } from "../../base/errors.ts";
import { generateP256PrivateKey, p256PublicKeyOf, p256Sign } from "../../crypto/p256.ts";
import { SYSTEM_RANDOM } from "../../transport/random.ts";
import { jwsKeyOfPoint, signJws, verifyJws } from "./jws.ts";

const PRIVATE = generateP256PrivateKey(SYSTEM_RANDOM);
const KEY = await jwsKeyOfPoint(p256PublicKeyOf(PRIVATE));
const sign = (message: Uint8Array) => Promise.resolve(p256Sign(PRIVATE, message));
const make = (typ = "card", kid = KEY.thumbprint) => signJws({ b: [1, null], a: "x" }, typ, kid, sign);
const faultOf = async (jws: string, typ = "card") => {
  const verdict = await verifyJws(jws, typ, KEY);
  return verdict.kind === "good" ? "good" : verdict.fault;
};

Deno.test("signJws() makes what verifyJws() and the library accept", async () => {
  const jws = await make();
  assert.deepEqual(await verifyJws(jws, "card", KEY), { kind: "good", payload: { a: "x", b: [1, null] } });
  const { protectedHeader } = await compactVerify(jws, await importJWK(KEY.jwk, "ES256"));
  assert.deepEqual(protectedHeader, { alg: "ES256", kid: KEY.thumbprint, typ: "card" });
});

Deno.test("jwsKeyOfPoint() thumbprint is that of RFC 7638, and a point off the curve is refused", async () => {
  const members = `{"crv":"P-256","kty":"EC","x":"${KEY.jwk.x}","y":"${KEY.jwk.y}"}`;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(members)));
  assert.equal(KEY.thumbprint, hash.toBase64({ alphabet: "base64url", omitPadding: true }));
  const off = p256PublicKeyOf(PRIVATE);
  off[64]! ^= 1;
  await assert.rejects(jwsKeyOfPoint(off), (error) => codeOf(error) === "JWS_KEY");
});

Deno.test("verifyJws() says why it refuses", async () => {
  const jws = await make();
  const [header, payload, signature] = jws.split(".");
  assert.equal(await faultOf(jws, "manifest"), "kind");
  assert.equal(await faultOf(await make("card", "another")), "other-key");
  assert.equal(await faultOf(`${header}.${payload}A.${signature}`), "signature");
  assert.equal(await faultOf(`${header}.${payload}.${"A".repeat(86)}`), "signature");
  assert.equal(await faultOf(`${header}.${payload}`), "form");
  assert.equal(await faultOf(`${header}.${payload}.`), "form");
  assert.equal(await faultOf(`AAAA.${payload}.${signature}`), "form");
  assert.equal(await faultOf(""), "form");
});

Deno.test("verifyJws() takes no other algorithm, whatever the header asks for", async () => {
  const claims = toUtf8("{}");
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  const other = await new CompactSign(claims)
    .setProtectedHeader({ alg: "EdDSA", kid: KEY.thumbprint, typ: "card" }).sign(privateKey);
  assert.equal(await faultOf(other), "signature");
  const header = toUtf8(JSON.stringify({ alg: "none", kid: KEY.thumbprint, typ: "card" }));
  const encode = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  assert.equal(await faultOf(`${encode(header)}.${encode(claims)}.`), "form");
  assert.equal(await faultOf(`${encode(header)}.${encode(claims)}.${"A".repeat(86)}`), "signature");
});
