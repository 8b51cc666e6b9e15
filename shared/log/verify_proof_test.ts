import assert from "node:assert/strict";
import { LogReader } from "./reader.ts";
import { filesSource, logFiles, TEST_POLICY, testEntries } from "./testing/log_folder.ts";
import { checkpointSigner } from "./testing/signers.ts";
import { formatTlogProof, parseTlogProof, type TlogProof } from "./tlog_proof.ts";
import { verifyTlogProof } from "./verify_proof.ts";

const ENTRIES = testEntries(300);
const reader = await LogReader.open(filesSource(await logFiles(ENTRIES)), TEST_POLICY);
const PROOF = await reader.prove(270);

function changed(change: (proof: TlogProof) => Partial<TlogProof>): Uint8Array {
  const proof = parseTlogProof(PROOF);
  return formatTlogProof({ ...proof, ...change(proof) });
}

Deno.test("verifyTlogProof() shows which entry is where, with keys alone", () => {
  const { index, entry, checkpoint } = verifyTlogProof(PROOF, TEST_POLICY);
  assert.deepEqual([index, entry, checkpoint.size], [270, ENTRIES[270], 300]);
  const { extra: _, ...without } = parseTlogProof(PROOF);
  const bare = formatTlogProof(without);
  assert.throws(() => verifyTlogProof(bare, TEST_POLICY), { code: "LOG_PROOF_ENTRY" });
  assert.equal(verifyTlogProof(bare, TEST_POLICY, ENTRIES[270]).index, 270);
});

Deno.test("verifyTlogProof() refuses another entry, index, hash, order, checkpoint or key", () => {
  const flip = (hash: Uint8Array) => hash.map((byte, i) => i === 0 ? byte ^ 1 : byte);
  const hostile: ((proof: TlogProof) => Partial<TlogProof>)[] = [
    () => ({ extra: ENTRIES[271]! }),
    () => ({ index: 271 }),
    () => ({ index: 300 }),
    ({ hashes }) => ({ hashes: hashes.slice(1) }),
    ({ hashes }) => ({ hashes: [...hashes, hashes[0]!] }),
    ({ hashes }) => ({ hashes: hashes.toReversed() }),
  ];
  for (const change of hostile) {
    assert.throws(() => verifyTlogProof(changed(change), TEST_POLICY), { code: "LOG_PROOF_INVALID" });
  }
  for (let i = 0; i < parseTlogProof(PROOF).hashes.length; i++) {
    const bytes = changed(({ hashes }) => ({ hashes: hashes.with(i, flip(hashes[i]!)) }));
    assert.throws(() => verifyTlogProof(bytes, TEST_POLICY), { code: "LOG_PROOF_INVALID" }, `hash ${i}`);
  }
  assert.throws(() => verifyTlogProof(PROOF, TEST_POLICY, ENTRIES[1]), { code: "LOG_PROOF_INVALID" });
  const stranger = { ...TEST_POLICY, log: [checkpointSigner("log.example/factory", 9).verifier] };
  assert.throws(() => verifyTlogProof(PROOF, stranger), { code: "CHECKPOINT_UNSIGNED" });
  assert.throws(() => verifyTlogProof(PROOF, { ...stranger, witnesses: [], quorum: 0 }), {
    code: "NOTE_UNSIGNED",
  });
});
