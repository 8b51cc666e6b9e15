import assert from "node:assert/strict";
import fc from "fast-check";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import {
  encodeCardEphemeral,
  encodeHostCertificate,
  encodeHostEphemeral,
  parseCardEphemeral,
  parseHostCertificate,
  parseHostEphemeral,
  verifyCardEphemeral,
  verifyHostCertificate,
  verifyHostEphemeral,
} from "./host_certificate.ts";
import { cardEphemeralMessage, hostEphemeralMessage, hostStaticMessage } from "./signed_messages.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const signature = fc.uint8Array({ minLength: 8, maxLength: 72 });
const plain = { noNullPrototype: true };

Deno.test("certificate codecs round-trip", () => {
  fc.assert(fc.property(
    fc.record({ serial: bytes(7), publicKey: bytes(65), signature }, plain),
    fc.record({ ephemeral: bytes(65), signature }, plain),
    fc.record({ cardChallenge: bytes(8), ephemeral: bytes(65), signature }, plain),
    (host, hostEphemeral, card) => {
      assert.deepEqual(parseHostCertificate(encodeHostCertificate(host)), host);
      assert.deepEqual(parseHostEphemeral(encodeHostEphemeral(hostEphemeral)), hostEphemeral);
      assert.deepEqual(parseCardEphemeral(encodeCardEphemeral(card)), card);
    },
  ));
});

Deno.test("certificate codecs refuse truncations, trailing bytes and fields of other lengths", () => {
  const key = new Uint8Array(65);
  const sig = new Uint8Array(70);
  const host = encodeHostCertificate({ serial: new Uint8Array(7), publicKey: key, signature: sig });
  const ephemeral = encodeHostEphemeral({ ephemeral: key, signature: sig });
  const card = encodeCardEphemeral({ cardChallenge: new Uint8Array(8), ephemeral: key, signature: sig });
  for (
    const [good, parse] of [
      [host, parseHostCertificate],
      [ephemeral, parseHostEphemeral],
      [card, parseCardEphemeral],
    ] as const
  ) {
    for (let length = 0; length < good.length; length++) {
      assert.throws(() => parse(good.slice(0, length)), code("RK_MALFORMED"));
    }
    assert.throws(() => parse(Uint8Array.of(...good, 0)), code("RK_MALFORMED"));
  }
  assert.throws(
    () => encodeHostCertificate({ serial: new Uint8Array(4), publicKey: key, signature: sig }),
    code("RK_FIELD"),
  );
  assert.throws(() => encodeHostEphemeral({ ephemeral: key.slice(1), signature: sig }), code("RK_FIELD"));
  assert.throws(
    () => encodeCardEphemeral({ cardChallenge: new Uint8Array(7), ephemeral: key, signature: sig }),
    code("RK_FIELD"),
  );
});

Deno.test("signatures verify for their own fields, key and role only", () => {
  const signer = generatePrivateKey(random);
  const other = publicKeyOf(generatePrivateKey(random));
  const key = publicKeyOf(signer);
  const [hostChallenge, cardChallenge, changed] = [random(8), random(8), random(8)];
  const ephemeral = publicKeyOf(generatePrivateKey(random));

  const serial = random(7);
  const host = { serial, publicKey: other, signature: ecdsaSign(signer, hostStaticMessage(serial, other)) };
  assert.equal(verifyHostCertificate(host, key), true);
  assert.equal(verifyHostCertificate(host, other), false);
  assert.equal(verifyHostCertificate({ ...host, serial: random(7) }, key), false);
  assert.equal(verifyHostCertificate({ ...host, publicKey: ephemeral }, key), false);

  const hostMessage = hostEphemeralMessage(hostChallenge, cardChallenge, ephemeral);
  const hostEphemeral = { ephemeral, signature: ecdsaSign(signer, hostMessage) };
  assert.equal(verifyHostEphemeral(hostEphemeral, key, hostChallenge, cardChallenge), true);
  assert.equal(verifyHostEphemeral(hostEphemeral, key, changed, cardChallenge), false);
  assert.equal(verifyHostEphemeral(hostEphemeral, key, hostChallenge, changed), false);
  assert.equal(
    verifyHostEphemeral({ ...hostEphemeral, ephemeral: other }, key, hostChallenge, cardChallenge),
    false,
  );
  // The role byte keeps one side's signature from passing for the other's, even with the challenges swapped.
  assert.equal(
    verifyCardEphemeral({ ...hostEphemeral, cardChallenge: hostChallenge }, key, cardChallenge),
    false,
  );

  const cardMessage = cardEphemeralMessage(cardChallenge, hostChallenge, ephemeral);
  const card = { cardChallenge, ephemeral, signature: ecdsaSign(signer, cardMessage) };
  assert.equal(verifyCardEphemeral(card, key, hostChallenge), true);
  assert.equal(verifyCardEphemeral(card, key, changed), false);
  assert.equal(verifyCardEphemeral({ ...card, cardChallenge: changed }, key, hostChallenge), false);
  assert.equal(verifyCardEphemeral(card, other, hostChallenge), false);
});
