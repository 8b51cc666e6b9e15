import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { loadVector } from "tests/vectors/load.ts";
import { deriveSeedKey, isSignedBySeed, parseVerifySeedAnswer } from "./seed_key.ts";

const { secrets } = loadVector<{ secrets: { seed: string; seed_verification_public: string } }>(
  "card/c_restore_manage.json",
);
const seed = () => new Secret(fromHex(secrets.seed));

Deno.test("deriveSeedKey() gives the recorded card's verification key", () => {
  using key = deriveSeedKey(seed());
  assert.equal(toHex(publicKeyOf(key)), secrets.seed_verification_public);
});

Deno.test("deriveSeedKey() of entropies of every length differ, and only the entropy's own key verifies", () => {
  const challenge = new Uint8Array(32).fill(7);
  const keys = [16, 24, 32].map((length) => new Secret(new Uint8Array(length).fill(1)));
  for (const entropy of keys) {
    using key = deriveSeedKey(entropy);
    const signature = ecdsaSign(key, challenge);
    for (const other of keys) {
      assert.equal(isSignedBySeed(other, challenge, signature), other === entropy);
    }
    assert.equal(isSignedBySeed(entropy, challenge.slice(1), signature), false);
  }
});

Deno.test("parseVerifySeedAnswer() refuses another length, too much and too little", () => {
  const signature = new Uint8Array(70).fill(0x30);
  assert.deepEqual(parseVerifySeedAnswer(Uint8Array.of(70, ...signature)), signature);
  for (
    const bad of [[], [70], [69, ...signature], [71, ...signature], [7, ...signature.slice(0, 7)], [
      73,
      ...new Uint8Array(73),
    ]]
  ) {
    assert.throws(() => parseVerifySeedAnswer(Uint8Array.from(bad)), { code: "RK_MALFORMED" });
  }
});
