import assert from "node:assert/strict";
import { fromHex, fromUtf8, toHex, toUtf8 } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { drawEntropy, readWords, seedFingerprint, WORD_COUNTS, wordCountOf, wordsOf } from "./mnemonic.ts";

/** Published test vectors of BIP39 (English), one of each length. */
const VECTORS = [
  ["00".repeat(16), "abandon ".repeat(11) + "about"],
  [
    "7F".repeat(24),
    "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal will",
  ],
  ["FF".repeat(32), "zoo ".repeat(23) + "vote"],
] as const;
const secret = (text: string) => new Secret(toUtf8(text));

Deno.test("readWords() and wordsOf() agree with the published vectors", () => {
  for (const [entropy, words] of VECTORS) {
    assert.equal(toHex(readWords(secret(words)).reveal()), entropy);
    assert.equal(
      toHex(readWords(secret(`  ${words.toUpperCase().replaceAll(" ", "\n ")} `)).reveal()),
      entropy,
    );
    assert.equal(fromUtf8(wordsOf(new Secret(fromHex(entropy))).reveal()), words);
  }
});

Deno.test("readWords() refuses other counts, unknown words and a wrong checksum, without repeating them", () => {
  for (
    const [words, why] of [
      ["", /there are 1/],
      ["abandon ".repeat(15), /there are 15/],
      ["abandon ".repeat(11) + "qwertz", /word 12 is not/],
      ["abandon ".repeat(12), /checksum/],
    ] as const
  ) {
    assert.throws(() => readWords(secret(words)), (error: Error & { code?: string }) => {
      assert.equal(error.code, "WALLET_WORDS");
      assert.match(error.message, why);
      assert.doesNotMatch(error.message, /abandon|qwertz/);
      return true;
    });
  }
  assert.throws(() => readWords(new Secret(Uint8Array.of(0xff, 0xfe))), { code: "WALLET_WORDS" });
});

Deno.test("drawEntropy() gives every word count", () => {
  for (const count of WORD_COUNTS) {
    using entropy = drawEntropy(count, SYSTEM_RANDOM);
    assert.equal(wordCountOf(entropy.length), count);
    assert.equal(fromUtf8(wordsOf(entropy).reveal()).split(" ").length, count);
  }
});

Deno.test("seedFingerprint() is the master fingerprint that wallets show", () => {
  // "abandon ... about" without passphrase: 73c5da0a in every BIP32 wallet's documentation.
  assert.equal(seedFingerprint(new Secret(new Uint8Array(16))), "73C5DA0A");
});
