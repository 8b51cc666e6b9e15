import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { response } from "shared/protocol/apdu/response.ts";
import { encodePublicKeyAnswer } from "shared/protocol/recovery_key/public_key.ts";
import { cardKeyMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import { checkProfile } from "../profile.ts";
import { profileTemplate } from "../profile_template.ts";
import { createKey } from "./applet.ts";
import { checkAnswer, type StepTools } from "./exchange.ts";
import type { CardFacts } from "./facts.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const PROFILE = checkProfile(JSON.parse(profileTemplate("test-card")));
const TARGET_ID = fromHex(PROFILE.targetId);
const SERIAL = fromHex("7F000001");
const NO_TOOLS: StepTools = {
  encryptWithDek: () => assert.fail("GET PUBLIC KEY encrypts nothing"),
  randomKeys: () => assert.fail("GET PUBLIC KEY draws no keys"),
};

/** Key of DGI 8137, which the service drew, and a key that a card made. */
const attestationKey = generatePrivateKey(random);
const publicKey = publicKeyOf(generatePrivateKey(random));
const otherKey = publicKeyOf(generatePrivateKey(random));
const sign = (targetId: Uint8Array, key: Uint8Array, signer = attestationKey) =>
  ecdsaSign(signer, cardKeyMessage(targetId, key));

function factsBefore(): CardFacts {
  return {
    cplc: null,
    keyVersions: null,
    otherDiversificationData: new Map(),
    isdKeysReplaced: false,
    issuerPublicKey: new Uint8Array(65),
    serial: SERIAL,
    personalizationPublicKey: publicKeyOf(attestationKey),
    cardMilliseconds: 0,
  };
}

/** What the check says of an answer, and what it left in the facts. */
function judge(data: Uint8Array): { code: string | undefined; facts: CardFacts } {
  const facts = factsBefore();
  const [exchange] = createKey(facts, PROFILE, NO_TOOLS);
  try {
    checkAnswer(exchange!, response(0x9000, data), facts);
    return { code: undefined, facts };
  } catch (error) {
    return { code: codeOf(error), facts };
  }
}

Deno.test("createKey() accepts a key that the DGI 8137 key signed for this target and serial", () => {
  const { code, facts } = judge(
    encodePublicKeyAnswer({ publicKey, serial: SERIAL, signature: sign(TARGET_ID, publicKey) }),
  );
  assert.equal(code, undefined);
  assert.equal(toHex(facts.publicKey!), toHex(publicKey));
});

Deno.test("createKey() refuses every answer that is for another key, signer, target or serial, and keeps nothing of it", () => {
  const offCurve = publicKey.slice();
  offCurve[64]! ^= 1;
  const signature = sign(TARGET_ID, publicKey);
  const cases: [string, Parameters<typeof encodePublicKeyAnswer>[0], string][] = [
    ["another key", { publicKey: otherKey, serial: SERIAL, signature }, "CARD_KEY_SIGNATURE"],
    ["off the curve", {
      publicKey: offCurve,
      serial: SERIAL,
      signature: sign(TARGET_ID, offCurve),
    }, "RK_MALFORMED"],
    ["another signer", {
      publicKey,
      serial: SERIAL,
      signature: sign(TARGET_ID, publicKey, generatePrivateKey(random)),
    }, "CARD_KEY_SIGNATURE"],
    ["another target", {
      publicKey,
      serial: SERIAL,
      signature: sign(fromHex("33000004"), publicKey),
    }, "CARD_KEY_SIGNATURE"],
    ["another serial", { publicKey, serial: fromHex("7F000002"), signature }, "CARD_SERIAL_MISMATCH"],
  ];
  for (const [name, answer, expected] of cases) {
    const { code, facts } = judge(encodePublicKeyAnswer(answer));
    assert.equal(code, expected, name);
    assert.equal(facts.publicKey, undefined, name);
  }
});
