import assert from "node:assert/strict";
import fc from "fast-check";
import { toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { encodeCommand } from "shared/protocol/apdu/command.ts";
import { openCapsule } from "./capsule.ts";
import * as commands from "./commands.ts";
import { TAG_CARD_NAME, TAG_PIN_TRIES_LEFT } from "./constants.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const keys = { enc: new Secret(new Uint8Array(32).fill(5)), mac: new Secret(new Uint8Array(8).fill(6)) };
const iv = new Uint8Array(16);
/** What the plaintext of capsule commands is held to: Lc inside SCP03. */
const LC_MAX = 127;

Deno.test("commands without data are the recorded headers", () => {
  assert.equal(toHex(encodeCommand(commands.getStatusCommand())), "08F20000");
  assert.equal(toHex(encodeCommand(commands.getPublicKeyCommand())), "08400000");
  assert.equal(toHex(encodeCommand(commands.setStatusAttestedCommand())), "08F00002");
  assert.equal(toHex(encodeCommand(commands.getCardEphemeralCommand())), "08528000");
});

Deno.test("PIN commands seal the length and digits, leave the caller's PIN alone and refuse other PINs", () => {
  for (
    const build of [
      commands.setPinCommand,
      commands.verifyPinCommand,
      commands.pinChangeCommand,
      commands.requestUpgradeCommand,
    ]
  ) {
    for (const digits of [[1, 2, 3, 4], [9, 0, 9, 0, 9, 0, 9, 0]]) {
      const pin = Uint8Array.from(digits);
      const { data } = build(keys, pin, iv);
      assert.deepEqual([...openCapsule(keys, data)], [digits.length, ...digits]);
      assert.deepEqual([...pin], digits);
      assert.ok(data.length <= LC_MAX);
    }
    for (
      const wrong of [[], [1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 10], [0x31, 0x32, 0x33, 0x34]]
    ) {
      assert.throws(() => build(keys, Uint8Array.from(wrong), iv), code("RK_FIELD"));
    }
  }
});

Deno.test("decodeEntropy() inverts encodeEntropy(), and refuses other lengths and dirty padding", () => {
  fc.assert(fc.property(
    fc.constantFrom(16, 24, 32).chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
    (entropy) => {
      const plain = commands.encodeEntropy(entropy);
      assert.equal(plain.length, 33);
      assert.deepEqual(commands.decodeEntropy(plain).reveal(), entropy);
    },
  ));
  const plain = commands.encodeEntropy(new Uint8Array(16).fill(1));
  const wrong = [plain.with(0, 15), plain.with(0, 33), plain.with(1, 1), plain.slice(1), new Uint8Array(0)];
  for (const value of wrong) assert.throws(() => commands.decodeEntropy(value), code("RK_MALFORMED"));
  for (const length of [0, 15, 20, 33]) {
    assert.throws(() => commands.encodeEntropy(new Uint8Array(length)), code("RK_FIELD"));
  }
});

Deno.test("setSeedCommand() leaves the caller's seed alone", () => {
  const seed = new Secret(new Uint8Array(32).fill(7));
  commands.setSeedCommand(keys, seed, iv);
  assert.deepEqual(seed.reveal(), new Uint8Array(32).fill(7));
});

Deno.test("verifySeedCommand() and setCardNameCommand() keep to the card's lengths", () => {
  assert.ok(
    commands.verifySeedCommand(keys, new Uint8Array(commands.SEED_CHALLENGE_MAX), iv).data.length <= LC_MAX,
  );
  for (const length of [0, commands.SEED_CHALLENGE_MAX + 1]) {
    assert.throws(() => commands.verifySeedCommand(keys, new Uint8Array(length), iv), code("RK_FIELD"));
  }
  assert.ok(commands.setCardNameCommand(keys, new Uint8Array(32), iv).data.length <= LC_MAX);
  assert.deepEqual(
    openCapsule(keys, commands.setCardNameCommand(keys, new Uint8Array(0), iv).data),
    Uint8Array.of(0),
  );
  assert.throws(() => commands.setCardNameCommand(keys, new Uint8Array(33), iv), code("RK_FIELD"));
});

Deno.test("parseDataAnswer() gives the value of the tag asked for only", () => {
  const plain = Uint8Array.of(0x9f, 0x17, 1, 3);
  assert.deepEqual(commands.parseDataAnswer(plain, TAG_PIN_TRIES_LEFT), Uint8Array.of(3));
  assert.throws(() => commands.parseDataAnswer(plain, TAG_CARD_NAME), code("RK_MALFORMED"));
  for (const wrong of [plain.slice(0, 3), plain.with(2, 2), Uint8Array.of(...plain, 0), new Uint8Array(0)]) {
    assert.throws(() => commands.parseDataAnswer(wrong, TAG_PIN_TRIES_LEFT), code("RK_MALFORMED"));
  }
});

Deno.test("other builders refuse fields of other lengths", () => {
  assert.throws(() => commands.getCardCertificateCommand(new Uint8Array(7)), code("RK_FIELD"));
  assert.throws(() => commands.setCertificateCommand(new Uint8Array(0)), code("RK_FIELD"));
  assert.throws(() => commands.setCertificateCommand(new Uint8Array(240)), code("RK_FIELD"));
});
