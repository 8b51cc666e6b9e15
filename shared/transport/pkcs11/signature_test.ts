import assert from "node:assert/strict";
import { p256 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { toUtf8 } from "shared/base/bytes.ts";
import { generateP256PrivateKey, p256PublicKeyOf, p256Verify } from "shared/crypto/p256.ts";
import { ecdsaVerify, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { refusesWith } from "tests/conformance/hsm.ts";
import { SYSTEM_RANDOM } from "../random.ts";
import { requireMechanism } from "./keys.ts";
import { finishSignature } from "./signature.ts";
import type { SessionContext } from "./token.ts";

const MESSAGE = toUtf8("message");

Deno.test("finishSignature() makes low-S DER of either half, and refuses everything else", async () => {
  using key = generatePrivateKey(SYSTEM_RANDOM);
  using other = generatePrivateKey(SYSTEM_RANDOM);
  const publicKey = publicKeyOf(key);
  const low = secp256k1.sign(MESSAGE, key.reveal(), { format: "compact", lowS: true });
  const { r, s } = secp256k1.Signature.fromBytes(low, "compact");
  const high = new secp256k1.Signature(r, secp256k1.Point.Fn.ORDER - s).toBytes("compact");
  const finished = finishSignature(low, publicKey, MESSAGE, "key");
  assert.deepEqual(finishSignature(high, publicKey, MESSAGE, "key"), finished);
  assert.ok(ecdsaVerify(publicKey, MESSAGE, finished));

  const refused = (raw: Uint8Array, by = publicKey, message = MESSAGE) =>
    refusesWith("HSM_BAD_SIGNATURE", (async () => await finishSignature(raw, by, message, "key"))());
  for (let i = 0; i < low.length; i++) {
    const flipped = low.slice();
    flipped[i]! ^= 1;
    await refused(flipped);
  }
  await refused(low, publicKeyOf(other));
  await refused(low, publicKey, toUtf8("another"));
  await refused(low.subarray(1));
  await refused(new Uint8Array(64));
  await refused(new Uint8Array(64).fill(0xff));
  await refused(new Uint8Array());
});

Deno.test("finishSignature() on P-256 makes low-S DER of either half, and refuses the other curve", async () => {
  using key = generateP256PrivateKey(SYSTEM_RANDOM);
  const publicKey = p256PublicKeyOf(key);
  const low = p256.sign(MESSAGE, key.reveal(), { format: "compact", lowS: true });
  const { r, s } = p256.Signature.fromBytes(low, "compact");
  const high = new p256.Signature(r, p256.Point.Fn.ORDER - s).toBytes("compact");
  const finished = finishSignature(low, publicKey, MESSAGE, "key", "p256");
  assert.deepEqual(finishSignature(high, publicKey, MESSAGE, "key", "p256"), finished);
  assert.ok(p256Verify(publicKey, MESSAGE, finished));
  const refused = (raw: Uint8Array, curve: "p256" | "secp256k1") =>
    refusesWith(
      "HSM_BAD_SIGNATURE",
      (async () => await finishSignature(raw, publicKey, MESSAGE, "key", curve))(),
    );
  await refused(low, "secp256k1");
  await refused(new Uint8Array(64), "p256");
  await refused(low.subarray(1), "p256");
  await refused(low.with(5, low[5]! ^ 1), "p256");
});

Deno.test("requireMechanism() names what a token lacks", () => {
  const context = { facts: { mechanisms: new Set([0x1041]), model: "small" } } as unknown as SessionContext;
  requireMechanism(context, "ECDSA");
  assert.throws(() => requireMechanism(context, "AES_CMAC"), {
    code: "HSM_MECHANISM",
    message: /CKM_AES_CMAC/,
  });
});
