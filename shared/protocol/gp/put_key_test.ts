import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { aesCbcDecrypt, aesCbcEncrypt } from "shared/crypto/aes.ts";
import { encodeCommand } from "../apdu/command.ts";
import { keyCheckValue } from "../scp03/key_check_value.ts";
import type { StaticKeys } from "../scp03/keys.ts";
import { putKeyCommand, verifyPutKeyAnswer } from "./put_key.ts";
import { parsePutKey } from "./put_key_parser.ts";

const DEK = fromHex("33".repeat(16));
const IV = new Uint8Array(16);
const encryptWithDek = (data: Uint8Array) => aesCbcEncrypt(DEK, IV, data);
const decrypt = (data: Uint8Array) => aesCbcDecrypt(DEK, IV, data);

/** Three keys filled with a byte each. */
function keySet(length: number, [a, b, c]: readonly [number, number, number] = [1, 2, 3]): StaticKeys {
  const key = (byte: number) => new Secret(new Uint8Array(length).fill(byte));
  return { enc: key(a), mac: key(b), dek: key(c) };
}

Deno.test("putKeyCommand() lays out version, type, lengths, encrypted key and check value", () => {
  const keys = keySet(16);
  const apdu = putKeyCommand({ newVersion: 0x31, replaceVersion: 0x30, keys, encryptWithDek });
  const field = (key: Secret) =>
    "881110" + toHex(encryptWithDek(key.reveal())) + "03" + toHex(keyCheckValue(key));
  equal(
    toHex(encodeCommand(apdu)),
    "80D8308146" + "31" + field(keys.enc) + field(keys.mac) + field(keys.dek),
  );
});

Deno.test("putKeyCommand() of AES-192 encrypts two blocks and says 24", () => {
  const apdu = putKeyCommand({ newVersion: 1, keys: keySet(24), encryptWithDek });
  equal(apdu.p1, 0);
  equal(apdu.data.length, 1 + 3 * (3 + 32 + 4));
  equal(toHex(apdu.data.subarray(1, 4)), "882118");
});

Deno.test("parsePutKey() undoes putKeyCommand(), and the host accepts its answer", () => {
  const length = fc.constantFrom(16, 24, 32);
  const version = fc.integer({ min: 1, max: 0x7f });
  const byte = fc.integer({ min: 0, max: 255 });
  fc.assert(
    fc.property(
      length,
      version,
      fc.integer({ min: 0, max: 0x7f }),
      fc.tuple(byte, byte, byte),
      (l, v, r, b) => {
        const keys = keySet(l, b);
        const received = parsePutKey(
          putKeyCommand({ newVersion: v, replaceVersion: r, keys, encryptWithDek }),
          decrypt,
        );
        equal(received.newVersion, v);
        equal(received.replaceVersion, r);
        deepEqual(received.keys.map(({ id }) => id), [1, 2, 3]);
        ok([keys.enc, keys.mac, keys.dek].every((key, i) => key.equals(received.keys[i]!.key)));
        verifyPutKeyAnswer(received.answer, v, keys);
      },
    ),
  );
});

Deno.test("verifyPutKeyAnswer() refuses every changed byte and every other length", () => {
  const keys = keySet(32);
  const { answer } = parsePutKey(putKeyCommand({ newVersion: 5, keys, encryptWithDek }), decrypt);
  equal(answer.length, 10);
  for (let i = 0; i < answer.length; i++) {
    const changed = answer.slice();
    changed[i]! ^= 0x01;
    throws(() => verifyPutKeyAnswer(changed, 5, keys), { code: "GP_KEY_CHECK_VALUE" });
    throws(() => verifyPutKeyAnswer(answer.slice(0, i), 5, keys), { code: "GP_KEY_CHECK_VALUE" });
  }
  throws(() => verifyPutKeyAnswer(concat(answer, IV), 5, keys), { code: "GP_KEY_CHECK_VALUE" });
});

Deno.test("parsePutKey() refuses every truncation and every changed byte but the version", () => {
  const apdu = putKeyCommand({ newVersion: 5, keys: keySet(16), encryptWithDek });
  for (let i = 0; i < apdu.data.length; i++) {
    const truncated = { ...apdu, data: apdu.data.slice(0, i) };
    // Two whole keys are a PUT KEY too: the host sees by the answer that the third is missing.
    if (i === 1 + 2 * 23) equal(parsePutKey(truncated, decrypt).keys.length, 2);
    else throws(() => parsePutKey(truncated, decrypt), { code: "GP_COMMAND" });
    if (i === 0) continue;
    const data = apdu.data.slice();
    data[i]! ^= 0x40;
    throws(
      () => parsePutKey({ ...apdu, data }, decrypt),
      { code: /^GP_(COMMAND|KEY_CHECK_VALUE)$/ },
      String(i),
    );
  }
  throws(() => parsePutKey({ ...apdu, data: concat(apdu.data, Uint8Array.of(0)) }, decrypt), {
    code: "GP_COMMAND",
  });
  throws(() => parsePutKey({ ...apdu, p2: 0x01 }, decrypt), { code: "GP_COMMAND" });
  throws(() => parsePutKey({ ...apdu, p1: 0x80 }, decrypt), { code: "GP_COMMAND" });
  throws(() => parsePutKey({ ...apdu, data: Uint8Array.of(5) }, decrypt), { code: "GP_COMMAND" });
});

Deno.test("putKeyCommand() refuses key sets and versions that cannot be", () => {
  const mixed = { ...keySet(16), dek: new Secret(new Uint8Array(32)) };
  throws(() => putKeyCommand({ newVersion: 1, keys: mixed, encryptWithDek }), { code: "GP_KEY" });
  throws(() => putKeyCommand({ newVersion: 1, keys: keySet(15), encryptWithDek }), { code: "GP_KEY" });
  for (const newVersion of [0, 0x80, 1.5]) {
    throws(() => putKeyCommand({ newVersion, keys: keySet(16), encryptWithDek }), { code: "GP_KEY" });
  }
  throws(() => putKeyCommand({ newVersion: 1, replaceVersion: 0x80, keys: keySet(16), encryptWithDek }), {
    code: "GP_KEY",
  });
});

Deno.test("putKeyCommand() wipes its copy of a key even when encryption fails", () => {
  let seen = new Uint8Array(0);
  throws(() =>
    putKeyCommand({
      newVersion: 1,
      keys: keySet(24),
      encryptWithDek: (data) => {
        seen = data as Uint8Array<ArrayBuffer>;
        throw new Error("hardware");
      },
    }), /hardware/);
  ok(seen.length === 32 && seen.every((byte) => byte === 0));
});
