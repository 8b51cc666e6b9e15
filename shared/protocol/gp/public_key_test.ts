import assert from "node:assert/strict";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import {
  encodePublicKeyField,
  type PublicKey,
  publicKeyComponents,
  publicKeyOfComponents,
  putPublicKeyCommands,
  readPublicKeyField,
} from "./public_key.ts";
import { parsePutKey } from "./put_key_parser.ts";

const EC: PublicKey = { kind: "ec-p256", point: fromHex("04" + "AB".repeat(64)) };
const RSA: PublicKey = {
  kind: "rsa",
  modulus: new Uint8Array(256).fill(0xcd),
  exponent: Uint8Array.of(1, 0, 1),
};
const noDecrypt = () => {
  throw new Error("a public key is not encrypted");
};

Deno.test("encodePublicKeyField() lays out components, lengths as BER has them, and no check value", () => {
  assert.equal(toHex(encodePublicKeyField(EC)), "B04104" + "AB".repeat(64) + "F0010000");
  assert.equal(toHex(encodePublicKeyField(RSA)), "A1820100" + "CD".repeat(256) + "A00301000100");
});

Deno.test("readPublicKeyField() undoes it at any offset, and refuses every cut and every other component", () => {
  for (const key of [EC, RSA]) {
    const field = encodePublicKeyField(key);
    assert.deepEqual(readPublicKeyField(concat(Uint8Array.of(1, 2), field), 2), {
      key,
      end: 2 + field.length,
    });
    assert.deepEqual(publicKeyOfComponents(publicKeyComponents(key)), key);
    for (let length = 0; length < field.length; length++) {
      assert.throws(() => readPublicKeyField(field.slice(0, length), 0), { code: "GP_COMMAND" }, `${length}`);
    }
    const other = field.slice();
    other[0] = 0xb1;
    assert.throws(() => readPublicKeyField(other, 0), { code: "GP_COMMAND" });
  }
  const otherCurve = encodePublicKeyField(EC);
  otherCurve[otherCurve.length - 2] = 0x01;
  assert.throws(() => readPublicKeyField(otherCurve, 0), { code: "GP_COMMAND" });
});

Deno.test("parsePutKey() reads public keys, their identifiers and no check value", () => {
  for (const key of [EC, RSA]) {
    const commands = putPublicKeyCommands({ newVersion: 0x73, id: 5, replaceVersion: 0x72, key });
    assert.deepEqual(commands.map(({ p1 }) => p1), key === EC ? [0x72] : [0xf2, 0x72]);
    const whole = { ...commands.at(-1)!, data: concat(...commands.map(({ data }) => data)) };
    const read = parsePutKey(whole, noDecrypt);
    assert.deepEqual([read.keys, read.publicKeys, toHex(read.answer)], [[], [{ id: 5, key }], "73"]);
  }
});

Deno.test("putPublicKeyCommands() refuses numbers out of range", () => {
  for (
    const wrong of [{ newVersion: 0 }, { newVersion: 0x80 }, { id: 0 }, { id: 128 }, { replaceVersion: 0x80 }]
  ) {
    assert.throws(() => putPublicKeyCommands({ newVersion: 1, id: 1, key: EC, ...wrong }), {
      code: "GP_KEY",
    });
  }
});
