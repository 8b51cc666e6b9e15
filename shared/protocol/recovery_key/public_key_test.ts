import assert from "node:assert/strict";
import { publicKeyOf } from "shared/crypto/secp256k1.ts";
import { joinPrefixed } from "./length_prefixed.ts";
import { encodePublicKeyAnswer, parsePublicKeyAnswer } from "./public_key.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const publicKey = publicKeyOf(new Uint8Array(32).fill(1));
const serial = Uint8Array.of(1, 2, 3, 4);
const signature = new Uint8Array(70).fill(0x30);

Deno.test("parsePublicKeyAnswer() inverts encodePublicKeyAnswer()", () => {
  const answer = { publicKey, serial, signature };
  assert.deepEqual(parsePublicKeyAnswer(encodePublicKeyAnswer(answer)), answer);
});

Deno.test("parsePublicKeyAnswer() refuses wrong lengths, keys off the curve and truncations", () => {
  const offCurve = publicKey.slice();
  offCurve[64]! ^= 1;
  const wrong = [
    joinPrefixed(publicKey.slice(1), serial, signature),
    joinPrefixed(publicKey, serial.slice(1), signature),
    joinPrefixed(publicKey, serial, new Uint8Array(7)),
    joinPrefixed(publicKey, serial, new Uint8Array(73)),
    joinPrefixed(publicKey, serial),
    joinPrefixed(publicKey, serial, signature, serial),
    joinPrefixed(offCurve, serial, signature),
    joinPrefixed(new Uint8Array(65), serial, signature),
  ];
  for (const data of wrong) assert.throws(() => parsePublicKeyAnswer(data), code("RK_MALFORMED"));
  const good = encodePublicKeyAnswer({ publicKey, serial, signature });
  for (let n = 0; n < good.length; n++) {
    assert.throws(() => parsePublicKeyAnswer(good.slice(0, n)), code("RK_MALFORMED"));
  }
});

Deno.test("encodePublicKeyAnswer() refuses fields of other lengths", () => {
  assert.throws(
    () => encodePublicKeyAnswer({ publicKey: new Uint8Array(33), serial, signature }),
    code("RK_FIELD"),
  );
  assert.throws(
    () => encodePublicKeyAnswer({ publicKey, serial: new Uint8Array(7), signature }),
    code("RK_FIELD"),
  );
});
