import assert from "node:assert/strict";
import { fromHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import {
  ed25519PublicKeyOf,
  ed25519Sign,
  ed25519Verify,
  generateEd25519PrivateKey,
  isEd25519PublicKey,
} from "./ed25519.ts";

/** RFC 8032, section 7.1, test 3. */
const RFC8032 = {
  seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
  publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
  message: "af82",
  signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac" +
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
};

Deno.test("ed25519Sign() and ed25519Verify() RFC 8032, 7.1, test 3", () => {
  using key = new Secret(fromHex(RFC8032.seed));
  const message = fromHex(RFC8032.message);
  const publicKey = ed25519PublicKeyOf(key);
  assert.deepEqual(publicKey, fromHex(RFC8032.publicKey));
  const signature = ed25519Sign(key, message);
  assert.deepEqual(signature, fromHex(RFC8032.signature));
  assert.ok(ed25519Verify(publicKey, message, signature));
});

Deno.test("ed25519Verify() refuses every flipped byte, other lengths and keys of small order", () => {
  const publicKey = fromHex(RFC8032.publicKey);
  const message = fromHex(RFC8032.message);
  const signature = fromHex(RFC8032.signature);
  for (let i = 0; i < signature.length; i++) {
    const flipped = signature.slice();
    flipped[i]! ^= 1;
    assert.ok(!ed25519Verify(publicKey, message, flipped), `byte ${i}`);
  }
  assert.ok(!ed25519Verify(publicKey, fromHex("af83"), signature));
  assert.ok(!ed25519Verify(publicKey, message, signature.subarray(1)));
  assert.ok(!ed25519Verify(publicKey.subarray(1), message, signature));
  // The neutral element as key "verifies" with R = neutral and S = 0 in a lax verifier, for every message.
  const neutral = fromHex("01" + "00".repeat(31));
  assert.ok(!isEd25519PublicKey(neutral));
  assert.ok(!ed25519Verify(neutral, message, fromHex("01" + "00".repeat(63))));
});

Deno.test("ed25519Sign() takes 32 bytes only", () => {
  using drawn = generateEd25519PrivateKey((length) => new Uint8Array(length).fill(7));
  assert.equal(ed25519Sign(drawn, new Uint8Array()).length, 64);
  using short = new Secret(new Uint8Array(31));
  assert.throws(() => ed25519Sign(short, new Uint8Array()), { code: "CRYPTO_KEY" });
});
