/** Entropy of every length, polynomials of every draw, deletion keys: what no recording fixes. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { HDKey } from "@scure/bip32";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { decodeIdentity, encodeIdentity, identityHash, sameIdentity } from "./identity.ts";
import { deletionIndex, deletionKey } from "./deletion_key.ts";
import { decryptEntropy, encryptEntropy, wordsOf } from "./entropy.ts";
import {
  commitmentsOf,
  drawPolynomials,
  isConsistent,
  recombine,
  sharesOf,
  wipePolynomials,
} from "./sharing.ts";
import { VERIFICATION_FLOWS, verificationNonce } from "./verification_nonce.ts";

Deno.test("12, 18 and 24 words: shared, checked, and restored from any two shares", () => {
  const key = new Secret(SYSTEM_RANDOM(32));
  for (const length of [16, 24, 32]) {
    const entropy = SYSTEM_RANDOM(length);
    const polynomials = drawPolynomials(encryptEntropy(key, new Secret(entropy)), SYSTEM_RANDOM);
    const shares = sharesOf(polynomials);
    const commitments = commitmentsOf(polynomials);
    wipePolynomials(polynomials);
    for (const share of shares) assert.ok(isConsistent(share, commitments));
    for (const [a, b] of [[0, 1], [1, 2], [2, 0]] as const) {
      const restored = decryptEntropy(key, recombine(shares[a]!, shares[b]!), wordsOf(length));
      assert.equal(toHex(restored.reveal()), toHex(entropy));
    }
  }
});

Deno.test("entropy of another length, another number of words and another key are refused", () => {
  const key = new Secret(SYSTEM_RANDOM(32));
  for (const length of [0, 15, 20, 28, 33]) {
    const code = { code: "RECOVER_ENTROPY" };
    assert.throws(() => encryptEntropy(key, new Secret(new Uint8Array(length))), code);
    assert.throws(() => wordsOf(length), code);
  }
  const encrypted = encryptEntropy(key, new Secret(new Uint8Array(24).fill(7)));
  assert.throws(() => decryptEntropy(key, encrypted, 12), { code: "RECOVER_ENTROPY" });
  assert.throws(() => decryptEntropy(key, encrypted, 15), { code: "RECOVER_ENTROPY" });
  const other = new Secret(SYSTEM_RANDOM(32));
  assert.throws(() => decryptEntropy(other, encrypted, 18), { code: "RECOVER_ENTROPY" });
});

Deno.test("a number of words that a liar raised is refused, and no backup is made that could not be told from it", () => {
  const key = new Secret(SYSTEM_RANDOM(32));
  for (const [length, lies] of [[16, [18, 24]], [24, [24]]] as const) {
    const encrypted = encryptEntropy(key, new Secret(new Uint8Array(length).fill(9)));
    for (const words of lies) {
      assert.throws(() => decryptEntropy(key, encrypted, words), { code: "RECOVER_ENTROPY" });
    }
  }
  for (const length of [24, 32]) {
    const ambiguous = new Secret(new Uint8Array(length).fill(9, 0, length - 8));
    assert.throws(() => encryptEntropy(key, ambiguous), { code: "RECOVER_ENTROPY" });
  }
});

Deno.test("identity data of any texts comes back, within 195 bytes; cut or followed by anything it is refused", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
  fc.assert(fc.property(
    fc.record({ backupName: text, firstName: text, lastName: text, dateOfBirth: text, placeOfBirth: text }),
    (identity) => {
      const data = { ...identity, backupId: new Uint8Array(16).fill(9), flow: 1 as const };
      const total = Object.values(identity).reduce(
        (sum, one) => sum + new TextEncoder().encode(one).length,
        0,
      );
      if (total > 195) return assert.throws(() => encodeIdentity(data), { code: "RECOVER_IDENTITY" });
      const bytes = encodeIdentity(data);
      assert.deepEqual(decodeIdentity(bytes), data);
      for (let end = 0; end < bytes.length; end++) {
        assert.throws(() => decodeIdentity(bytes.subarray(0, end)), { code: "RECOVER_MALFORMED" });
      }
      assert.throws(() => decodeIdentity(new Uint8Array([...bytes, 0])), { code: "RECOVER_MALFORMED" });
    },
  ));
});

Deno.test("two identities whose joined texts are equal have one hash, and are not the same", () => {
  const a = { backupName: "B", firstName: "Ann", lastName: "a", dateOfBirth: "1", placeOfBirth: "P" };
  const b = { ...a, firstName: "An", lastName: "na" };
  const key = publicKeyOf(generatePrivateKey(SYSTEM_RANDOM));
  const id = new Uint8Array(16);
  assert.deepEqual(identityHash(key, id, a), identityHash(key, id, b));
  assert.ok(!sameIdentity(a, b));
});

Deno.test("deletionKey() is BIP32 along m/0'/1818583154'/index', and differs for each provider", () => {
  const seed = fromHex("000102030405060708090A0B0C0D0E0F".repeat(4));
  const providers = [1, 2, 3].map(() => publicKeyOf(generatePrivateKey(SYSTEM_RANDOM)));
  const derived = providers.map((provider) => {
    const index = deletionIndex(provider);
    assert.ok(index >= 0 && index < 2 ** 31);
    const expected = HDKey.fromMasterSeed(seed).derive(`m/0'/1818583154'/${index}'`).privateKey!;
    const key = toHex(deletionKey(new Secret(seed.slice()), provider).reveal());
    assert.equal(key, toHex(expected));
    return key;
  });
  assert.equal(new Set(derived).size, 3);
  assert.throws(() => deletionKey(new Secret(new Uint8Array(4)), providers[0]!), { code: "RECOVER_FIELD" });
});

Deno.test("verificationNonce() differs with each thing that it binds", () => {
  const key = () => publicKeyOf(generatePrivateKey(SYSTEM_RANDOM));
  const binding = {
    flow: "restore" as const,
    providerName: "Backup_1",
    providerEphemeral: key(),
    deviceCertificate: SYSTEM_RANDOM(144),
    deviceEphemeral: key(),
    backupId: SYSTEM_RANDOM(16),
  };
  const nonces = [
    binding,
    ...VERIFICATION_FLOWS.filter((flow) => flow !== "restore").map((flow) => ({ ...binding, flow })),
    { ...binding, providerName: "Backup_2" },
    { ...binding, providerEphemeral: key() },
    { ...binding, deviceCertificate: SYSTEM_RANDOM(144) },
    { ...binding, deviceEphemeral: key() },
    { ...binding, backupId: SYSTEM_RANDOM(16) },
  ].map((one) => toHex(verificationNonce(one)));
  assert.equal(new Set(nonces).size, 8);
});
