import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { aesCmac } from "shared/crypto/aes.ts";
import { loadVector } from "tests/vectors/load.ts";
import { diversificationInputs, diversifyKdf3 } from "./diversification.ts";
import { keyCheckValue } from "./key_check_value.ts";

interface DiversificationVector {
  readonly id: string;
  readonly scheme: string;
  readonly master: string;
  readonly kdd: string;
  readonly enc?: string;
  readonly kcv?: Readonly<Record<"enc" | "mac" | "dek", string>>;
}

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;

Deno.test("diversifyKdf3() agrees with every KDF3 vector: AES-128, AES-192, AES-256", async () => {
  const vectors = loadVector<{ diversification: DiversificationVector[] }>("scp_vectors.json").diversification
    .filter(({ scheme }) => scheme === "kdf3");
  assert.equal(vectors.length, 4);
  for (const { id, master, kdd, enc, kcv } of vectors) {
    const masterKey = fromHex(master);
    const keys = await diversifyKdf3(
      (input) => Promise.resolve(aesCmac(masterKey, input)),
      fromHex(kdd),
      masterKey.length,
    );
    if (enc !== undefined) assert.equal(toHex(keys.enc.reveal()), enc, id);
    for (const name of ["enc", "mac", "dek"] as const) {
      assert.equal(keys[name].length, masterKey.length);
      if (kcv !== undefined) assert.equal(toHex(keyCheckValue(keys[name])), kcv[name], `${id} ${name}`);
    }
  }
});

Deno.test("diversificationInputs() gives one CMAC message a block, all different", () => {
  const kdd = fromHex("00010203040506070809");
  for (const [length, blocks] of [[16, 1], [24, 2], [32, 2]] as const) {
    const { enc, mac, dek } = diversificationInputs(kdd, length);
    const all = [...enc, ...mac, ...dek];
    assert.equal(enc.length, blocks);
    assert.equal(new Set(all.map(toHex)).size, 3 * blocks);
  }
  assert.equal(toHex(diversificationInputs(kdd, 32).dek[1]!), "020000000300" + "00010203040506070809");
});

Deno.test("diversificationInputs() refuses other key and KDD lengths", () => {
  const kdd = new Uint8Array(10);
  for (const length of [0, 8, 20, 33]) {
    assert.throws(() => diversificationInputs(kdd, length), code("SCP03_KEY_LENGTH"));
  }
  for (const length of [0, 9, 11]) {
    assert.throws(() => diversificationInputs(new Uint8Array(length), 16), code("SCP03_CHALLENGE_LENGTH"));
  }
});
