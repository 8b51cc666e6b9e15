import assert from "node:assert/strict";
import { CodedError } from "../../base/errors.ts";
import { seal, unseal } from "./sealed.ts";

async function keyPair(): Promise<{ privateKey: JsonWebKey; publicKey: JsonWebKey }> {
  const pair = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  return {
    privateKey: await crypto.subtle.exportKey("jwk", pair.privateKey),
    publicKey: await crypto.subtle.exportKey("jwk", pair.publicKey),
  };
}

const KEYS = await keyPair();
const unreadable = (error: unknown) => error instanceof CodedError && error.code === "SEALED_UNREADABLE";

Deno.test("unseal() gives back what seal() was given, and no two seals are alike", async () => {
  const plain = { dgi8137: "00".repeat(32) };
  const sealed = await seal(plain, KEYS.publicKey);
  assert.deepEqual(await unseal(sealed, KEYS.privateKey), plain);
  assert.equal(sealed.includes("dgi8137"), false);
  assert.notEqual(await seal(plain, KEYS.publicKey), sealed);
});

Deno.test("seal() never writes the private half of the recipient's key into the value", async () => {
  const sealed = await seal({ a: 1 }, KEYS.privateKey);
  const header = JSON.parse(atob(sealed.split(".")[0]!.replace(/-/g, "+").replace(/_/g, "/")));
  assert.equal("d" in header.epk, false);
});

Deno.test("unseal() refuses another key, every changed part, another algorithm and what is too long", async () => {
  const sealed = await seal({ a: 1 }, KEYS.publicKey);
  await assert.rejects(unseal(sealed, (await keyPair()).privateKey), unreadable);
  const parts = sealed.split(".");
  for (const [i, part] of parts.entries()) {
    const changed = parts.with(i, part.length === 0 ? "AAAA" : (part[0] === "A" ? "B" : "A") + part.slice(1));
    await assert.rejects(unseal(changed.join("."), KEYS.privateKey), unreadable, `part ${i}`);
  }
  const header = btoa(JSON.stringify({ alg: "dir", enc: "A256GCM" })).replace(/=/g, "");
  await assert.rejects(unseal([header, ...parts.slice(1)].join("."), KEYS.privateKey), unreadable);
  await assert.rejects(unseal("A".repeat(9000), KEYS.privateKey), unreadable);
});

Deno.test("seal() and unseal() refuse keys of another kind", async () => {
  const wrong = (error: unknown) => error instanceof CodedError && error.code === "SEALED_KEY";
  await assert.rejects(seal({}, { kty: "OKP", crv: "Ed25519", x: "AA" }), wrong);
  await assert.rejects(unseal("a.b.c.d.e", KEYS.publicKey), wrong);
});
