import assert from "node:assert/strict";
import fc from "fast-check";
import { concat, toUtf8 } from "../base/bytes.ts";
import { formatTlogProof, parseTlogProof } from "./tlog_proof.ts";

const HASH = new Uint8Array(32).fill(3);
const LINE = HASH.toBase64();
const CHECKPOINT = "o\n1\nroot\n\n— o AAAAAAE=\n";

Deno.test("parseTlogProof() reads what formatTlogProof() writes", () => {
  const proof = fc.record({
    extra: fc.uint8Array({ minLength: 1, maxLength: 50 }),
    index: fc.maxSafeNat(),
    hashes: fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 53 }),
    checkpoint: fc.constant(toUtf8(CHECKPOINT)),
  }, { requiredKeys: ["index", "hashes", "checkpoint"] });
  fc.assert(fc.property(proof, (value) => {
    assert.deepEqual(parseTlogProof(formatTlogProof(value)), { ...value });
  }));
  assert.equal(
    new TextDecoder().decode(
      formatTlogProof({ extra: Uint8Array.of(1), index: 7, hashes: [HASH], checkpoint: toUtf8(CHECKPOINT) }),
    ),
    `c2sp.org/tlog-proof@v1\nextra AQ==\nindex 7\n${LINE}\n\n${CHECKPOINT}`,
  );
});

Deno.test("parseTlogProof() refuses every other form", () => {
  const head = "c2sp.org/tlog-proof@v1\n";
  const hostile = [
    "",
    head,
    `${head}index 0\n`,
    `${head}index 0\n\n`,
    `${head}\n${CHECKPOINT}`,
    `c2sp.org/tlog-proof@v2\nindex 0\n\n${CHECKPOINT}`,
    `\ufeff${head}index 0\n\n${CHECKPOINT}`,
    `${head}index 00\n\n${CHECKPOINT}`,
    `${head}index  0\n\n${CHECKPOINT}`,
    `${head}index\n\n${CHECKPOINT}`,
    `${head}index -1\n\n${CHECKPOINT}`,
    `${head}index 9007199254740992\n\n${CHECKPOINT}`,
    `${head}extra \nindex 0\n\n${CHECKPOINT}`,
    `${head}extra AQ\nindex 0\n\n${CHECKPOINT}`,
    `${head}extra AQ==\nextra AQ==\nindex 0\n\n${CHECKPOINT}`,
    `${head}index 0\nextra AQ==\n\n${CHECKPOINT}`,
    `${head}index 0\n${LINE.slice(1)}\n\n${CHECKPOINT}`,
    `${head}index 0\n${LINE}\r\n\n${CHECKPOINT}`,
    `${head}index 0\n${`${LINE}\n`.repeat(54)}\n${CHECKPOINT}`,
  ];
  for (const text of hostile) {
    assert.throws(() => parseTlogProof(toUtf8(text)), { code: "TLOG_PROOF_MALFORMED" }, JSON.stringify(text));
  }
  const notUtf8 = concat(toUtf8(`${head}index 0\n\n`), Uint8Array.of(0xff));
  assert.throws(() => parseTlogProof(notUtf8), { code: "TLOG_PROOF_MALFORMED" });
});

Deno.test("formatTlogProof() writes nothing that could not be read again", () => {
  const right = { index: 0, hashes: [HASH], checkpoint: toUtf8(CHECKPOINT) };
  for (
    const change of [
      { index: -1 },
      { hashes: [new Uint8Array(31)] },
      { hashes: Array.from({ length: 54 }, () => HASH) },
      { extra: new Uint8Array(0) },
      { checkpoint: new Uint8Array(0) },
    ]
  ) {
    assert.throws(() => formatTlogProof({ ...right, ...change }), { code: "TLOG_PROOF_MALFORMED" });
  }
});
