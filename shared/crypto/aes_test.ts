import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { loadVector } from "tests/vectors/load.ts";
import {
  aesCbcDecrypt,
  aesCbcEncrypt,
  aesCmac,
  aesEcbEncryptBlock,
  padIso9797M2,
  unpadIso9797M2,
} from "./aes.ts";

interface Primitive {
  readonly id: string;
  readonly op: string;
  readonly key: string;
  readonly message: string;
  readonly output: string;
}

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const key = fc.constantFrom(16, 24, 32).chain(bytes);

Deno.test("aesCmac() gives the tags of RFC 4493", () => {
  const vectors = loadVector<{ scp03_primitives: Primitive[] }>("scp_vectors.json").scp03_primitives
    .filter(({ op }) => op === "aes-cmac");
  assert.equal(vectors.length, 4);
  for (const { id, key, message, output } of vectors) {
    assert.equal(toHex(aesCmac(fromHex(key), fromHex(message))), output, id);
  }
});

// NIST SP 800-38A, F.1.1, F.1.3, F.1.5 (first blocks) and F.2.1.
Deno.test("aesEcbEncryptBlock() and aesCbcEncrypt() give the blocks of NIST SP 800-38A", () => {
  const block = fromHex("6bc1bee22e409f96e93d7e117393172a");
  const keys = [
    ["2b7e151628aed2a6abf7158809cf4f3c", "3AD77BB40D7A3660A89ECAF32466EF97"],
    ["8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "BD334F1D6E45F25FF712A214571FA5CC"],
    ["603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "F3EED1BDB5D2A03C064B5A7E3DB181F8"],
  ] as const;
  for (const [key, output] of keys) assert.equal(toHex(aesEcbEncryptBlock(fromHex(key), block)), output);
  const twoBlocks = fromHex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
  const iv = fromHex("000102030405060708090a0b0c0d0e0f");
  assert.equal(
    toHex(aesCbcEncrypt(fromHex(keys[0][0]), iv, twoBlocks)),
    "7649ABAC8119B246CEE98E9B12E9197D5086CB9B507219EE95DB113A917678B2",
  );
});

Deno.test("aesCbcDecrypt() inverts aesCbcEncrypt()", () => {
  fc.assert(fc.property(key, bytes(16), fc.nat({ max: 20 }).chain((n) => bytes(16 * n)), (key, iv, data) => {
    assert.deepEqual(aesCbcDecrypt(key, iv, aesCbcEncrypt(key, iv, data)), data);
  }));
});

Deno.test("AES functions refuse wrong lengths of key, IV and data", () => {
  const iv = new Uint8Array(16);
  for (const length of [0, 8, 15, 17, 33]) {
    const wrong = new Uint8Array(length);
    assert.throws(() => aesCmac(wrong, iv), code("CRYPTO_LENGTH"));
    assert.throws(() => aesEcbEncryptBlock(wrong, iv), code("CRYPTO_LENGTH"));
    assert.throws(() => aesEcbEncryptBlock(iv, wrong), code("CRYPTO_LENGTH"));
    assert.throws(() => aesCbcEncrypt(wrong, iv, iv), code("CRYPTO_LENGTH"));
    assert.throws(() => aesCbcEncrypt(iv, wrong, iv), code("CRYPTO_LENGTH"));
    assert.throws(() => aesCbcDecrypt(iv, wrong, iv), code("CRYPTO_LENGTH"));
    if (length > 0) assert.throws(() => aesCbcDecrypt(iv, iv, wrong), code("CRYPTO_LENGTH"));
  }
});

Deno.test("unpadIso9797M2() inverts padIso9797M2(), which always pads", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(8, 16), (data, block) => {
    const padded = padIso9797M2(data, block);
    assert.equal(padded.length % block, 0);
    assert.ok(padded.length > data.length && padded.length <= data.length + block);
    assert.deepEqual(unpadIso9797M2(padded, block), data);
  }));
});

Deno.test("unpadIso9797M2() refuses what padIso9797M2() never makes, always with one code", () => {
  const wrong = [
    "",
    "00000000000000000000000000000000",
    "00000000000000000000000000000001",
    "00000000000000000000000000008001",
    "80",
    "000000000000000000000000000080",
    "00".repeat(32),
  ];
  for (const hex of wrong) assert.throws(() => unpadIso9797M2(fromHex(hex)), code("CRYPTO_PADDING"), hex);
});

Deno.test("unpadIso9797M2() takes a block of zeros too many", () => {
  assert.deepEqual(unpadIso9797M2(fromHex("1180" + "00".repeat(30))), fromHex("11"));
});
