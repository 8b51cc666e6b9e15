import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { loadVector } from "tests/vectors/load.ts";
import {
  ecdhPoint,
  ecdsaSign,
  ecdsaVerify,
  generatePrivateKey,
  isPublicKey,
  normalizeLowS,
  publicKeyOf,
} from "./secp256k1.ts";

interface EcdsaGroup {
  readonly publicKey: { readonly uncompressed: string };
  readonly tests: readonly { tcId: number; comment: string; msg: string; sig: string; result: string }[];
}
interface EcdhGroup {
  readonly tests: readonly {
    tcId: number;
    comment: string;
    public: string;
    private: string;
    shared: string;
    result: string;
  }[];
}

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const scalar = fc.bigInt({ min: 1n, max: ORDER - 1n }).map((n) => fromHex(n.toString(16).padStart(64, "0")));
const RUNS = { numRuns: 30 };

Deno.test("ecdsaVerify() agrees with all of Wycheproof's ECDSA secp256k1 SHA-256", () => {
  const { count, data } = loadVector<{ count: number; data: { testGroups: EcdsaGroup[] } }>(
    "wycheproof-ecdsa_secp256k1_sha256.json",
  );
  let checked = 0;
  for (const { publicKey, tests } of data.testGroups) {
    const key = fromHex(publicKey.uncompressed);
    for (const { tcId, comment, msg, sig, result } of tests) {
      assert.equal(ecdsaVerify(key, fromHex(msg), fromHex(sig)), result === "valid", `${tcId} ${comment}`);
      checked++;
    }
  }
  assert.equal(checked, count);
});

Deno.test("normalizeLowS() keeps every valid Wycheproof signature valid, and refuses what is not DER", () => {
  const { data } = loadVector<{ data: { testGroups: EcdsaGroup[] } }>(
    "wycheproof-ecdsa_secp256k1_sha256.json",
  );
  let high = 0;
  for (const { publicKey, tests } of data.testGroups) {
    for (const { msg, sig, result } of tests.filter(({ result }) => result === "valid")) {
      const der = fromHex(sig);
      const low = normalizeLowS(der);
      if (toHex(low) !== toHex(der)) high++;
      assert.deepEqual(normalizeLowS(low), low);
      assert.equal(ecdsaVerify(fromHex(publicKey.uncompressed), fromHex(msg), low), result === "valid");
    }
  }
  assert.ok(high > 0, "no signature with a high S among the vectors");
  assert.throws(() => normalizeLowS(fromHex("3006020101020101FF")), code("CRYPTO_SIGNATURE"));
  assert.throws(() => normalizeLowS(new Uint8Array(0)), code("CRYPTO_SIGNATURE"));
});

/** SubjectPublicKeyInfo of a named-curve secp256k1 key, up to its uncompressed point. */
const SPKI = "3056301006072a8648ce3d020106052b8104000a034200";

Deno.test("ecdhPoint() agrees with Wycheproof's ECDH secp256k1 wherever a key is given as a named-curve point", () => {
  const { data } = loadVector<{ data: { testGroups: EcdhGroup[] } }>("wycheproof-ecdh_secp256k1.json");
  let valid = 0;
  let invalid = 0;
  for (const { tests } of data.testGroups) {
    for (const { tcId, comment, public: spki, private: d, shared, result } of tests) {
      // The others vary the ASN.1 around the key, which no card protocol has.
      if (!spki.startsWith(SPKI)) {
        assert.notEqual(result, "valid", `${tcId} ${comment}`);
        continue;
      }
      const point = fromHex(spki.slice(SPKI.length));
      const key = fromHex(d.padStart(64, "0").slice(-64));
      if (result === "invalid") {
        assert.throws(() => ecdhPoint(key, point), code("CRYPTO_POINT"), `${tcId} ${comment}`);
        assert.equal(isPublicKey(point), false);
        invalid++;
      } else if (result === "valid") {
        const z = ecdhPoint(key, point);
        assert.equal(z.length, 65);
        assert.equal(toHex(z.subarray(1, 33)), shared.toUpperCase(), `${tcId} ${comment}`);
        valid++;
      }
    }
  }
  assert.deepEqual({ valid, invalid: invalid > 0 }, { valid: 473, invalid: true });
});

Deno.test("isPublicKey() accepts the generator and refuses other forms and points", () => {
  const one = new Uint8Array(32);
  one[31] = 1;
  const generator = publicKeyOf(one);
  assert.equal(isPublicKey(generator), true);
  const y = BigInt(`0x${toHex(generator.subarray(33))}`);
  const compressed = Uint8Array.of(y % 2n === 0n ? 2 : 3, ...generator.subarray(1, 33));
  const hybrid = generator.slice();
  hybrid[0] = y % 2n === 0n ? 6 : 7;
  const wrong = [
    compressed,
    hybrid,
    new Uint8Array(65),
    new Uint8Array(1),
    new Uint8Array(0),
    generator.slice(0, 64),
  ];
  const offCurve = generator.slice();
  offCurve[64]! ^= 1;
  for (const bytes of [...wrong, offCurve]) assert.equal(isPublicKey(bytes), false, toHex(bytes));
});

Deno.test("ecdsaSign() makes low-S signatures that verify for this key and message only", () => {
  fc.assert(
    fc.property(scalar, fc.uint8Array({ maxLength: 200 }), (key, message) => {
      const signature = ecdsaSign(new Secret(key.slice()), message);
      const publicKey = publicKeyOf(key);
      assert.equal(ecdsaVerify(publicKey, message, signature), true);
      assert.deepEqual(normalizeLowS(signature), signature);
      assert.equal(ecdsaVerify(publicKey, Uint8Array.of(...message, 0), signature), false);
      const changed = signature.slice();
      changed[changed.length - 1]! ^= 1;
      assert.equal(ecdsaVerify(publicKey, message, changed), false);
      assert.equal(ecdsaVerify(publicKeyOf(generatePrivateKey(random)), message, signature), false);
    }),
    RUNS,
  );
});

Deno.test("ecdsaVerify() answers false for a key off the curve", () => {
  const key = generatePrivateKey(random);
  const message = Uint8Array.of(1, 2, 3);
  const signature = ecdsaSign(key, message);
  const offCurve = publicKeyOf(key);
  offCurve[64]! ^= 1;
  assert.equal(ecdsaVerify(offCurve, message, signature), false);
  assert.equal(ecdsaVerify(new Uint8Array(0), message, signature), false);
});

Deno.test("ecdhPoint() gives both sides the same point", () => {
  fc.assert(
    fc.property(scalar, scalar, (a, b) => {
      assert.deepEqual(ecdhPoint(a, publicKeyOf(b)), ecdhPoint(new Secret(b), publicKeyOf(a)));
    }),
    RUNS,
  );
});

Deno.test("private keys out of range are refused, and never printed", () => {
  const order = fromHex(ORDER.toString(16));
  for (const key of [new Uint8Array(32), order, new Uint8Array(32).fill(0xff), new Uint8Array(31).fill(1)]) {
    for (const use of [() => publicKeyOf(key), () => ecdsaSign(key, key), () => ecdhPoint(key, key)]) {
      assert.throws(use, code("CRYPTO_KEY"));
    }
  }
});

Deno.test("generatePrivateKey() draws again what is out of range, and gives up on a broken source", () => {
  let draws = 0;
  const once = (length: number) => new Uint8Array(length).fill(draws++ === 0 ? 0xff : 0x11);
  assert.deepEqual(generatePrivateKey(once).reveal(), new Uint8Array(32).fill(0x11));
  assert.throws(() => generatePrivateKey((length) => new Uint8Array(length)), code("CRYPTO_KEY"));
});
