import assert from "node:assert/strict";
import { aessiv } from "@noble/ciphers/aes.js";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { loadVector } from "tests/vectors/load.ts";
import { RecoverChannel } from "./channel.ts";

interface SivTest {
  readonly tcId: number;
  readonly key: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly result: "valid" | "invalid";
}
const wycheproof = loadVector<{ data?: unknown; testGroups?: { tests: SivTest[] }[] }>(
  "wycheproof-aes_siv_cmac.json",
);
const groups =
  (wycheproof.testGroups ?? (wycheproof.data as { testGroups: { tests: SivTest[] }[] }).testGroups)!;

Deno.test("AES-SIV-CMAC judges every test of Wycheproof as it says", () => {
  let judged = 0;
  for (const { key, aad, msg, ct, result, tcId } of groups.flatMap(({ tests }) => tests)) {
    const bytes = (text: string) => fromHex(text.toUpperCase());
    // The empty text of Wycheproof is one empty associated datum, not none.
    const cipher = aessiv(bytes(key), bytes(aad));
    if (result === "valid") {
      assert.equal(toHex(cipher.encrypt(bytes(msg))), ct.toUpperCase(), `${tcId}`);
      assert.equal(toHex(cipher.decrypt(bytes(ct))), msg.toUpperCase(), `${tcId}`);
    } else {
      assert.throws(() => cipher.decrypt(bytes(ct)), `${tcId}`);
    }
    judged++;
  }
  assert.ok(judged > 400, `${judged}`);
});

Deno.test("RecoverChannel opens what the other end sealed, and one error for everything else", () => {
  const [a, b] = [generatePrivateKey(SYSTEM_RANDOM), generatePrivateKey(SYSTEM_RANDOM)];
  using left = RecoverChannel.agree(a, publicKeyOf(b));
  using right = RecoverChannel.agree(b, publicKeyOf(a));
  assert.equal(left.securityCode(), right.securityCode());
  assert.match(left.securityCode(), /^[0-9]{4}$/);
  for (const length of [0, 1, 15, 16, 17, 200]) {
    const plain = SYSTEM_RANDOM(length);
    const sealed = left.seal(plain);
    assert.equal(sealed.length, length + 16);
    assert.deepEqual(right.open(sealed), plain);
    for (let i = 0; i < sealed.length; i++) {
      const changed = sealed.slice();
      changed[i]! ^= 0x80;
      assert.throws(() => right.open(changed), { code: "RECOVER_SEALED" });
      assert.throws(() => right.open(sealed.subarray(0, i)), { code: "RECOVER_SEALED" });
    }
  }
  const other = RecoverChannel.agree(a, publicKeyOf(generatePrivateKey(SYSTEM_RANDOM)));
  assert.throws(() => other.open(left.seal(new Uint8Array(4))), { code: "RECOVER_SEALED" });
});

Deno.test("RecoverChannel.agree() refuses keys off the curve", () => {
  const key = generatePrivateKey(SYSTEM_RANDOM);
  const off = publicKeyOf(key);
  off[64]! ^= 1;
  for (const publicKey of [off, new Uint8Array(65), new Uint8Array(0), publicKeyOf(key).subarray(0, 64)]) {
    assert.throws(() => RecoverChannel.agree(key, publicKey), { code: "CRYPTO_POINT" });
  }
  assert.throws(() => new RecoverChannel(new Secret(new Uint8Array(31))), { code: "RECOVER_FIELD" });
});
