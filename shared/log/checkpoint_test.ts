import assert from "node:assert/strict";
import { toUtf8 } from "../base/bytes.ts";
import { loadVector } from "tests/vectors/load.ts";
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import {
  cosignatureMessage,
  cosignatureVerifier,
  formatCosignature,
  parseCosignature,
} from "./cosignature.ts";
import { emptyRoot } from "./merkle.ts";
import { parseNote, signNote } from "./note.ts";
import { type CheckpointPolicy, openCheckpoint } from "./signed_checkpoint.ts";
import { checkpointSigner, witnessSigner } from "./testing/signers.ts";
import { parseVerifierKey } from "./vkey.ts";

const { checkpoint_parse_only: EXAMPLE } = loadVector<{ data: { checkpoint_parse_only: string } }>(
  "c2sp-notes.json",
).data;
const ROOT = new Uint8Array(32).fill(9);
const ROOT_TEXT = ROOT.toBase64();

Deno.test("parseCheckpoint() and parseCosignature() read the checkpoint of the specification", () => {
  const note = parseNote(toUtf8(EXAMPLE));
  const checkpoint = parseCheckpoint(note.text);
  assert.equal(checkpoint.origin, "example.com/behind-the-sofa");
  assert.equal(checkpoint.size, 20852163);
  assert.deepEqual(checkpoint.extensions, []);
  assert.equal(formatCheckpoint(checkpoint), note.text);
  const cosignature = parseCosignature(note.signatures[1]!.signature)!;
  assert.equal(cosignature.timestamp, 1679315147);
  assert.deepEqual(formatCosignature(cosignature), note.signatures[1]!.signature);
  assert.equal(
    new TextDecoder().decode(cosignatureMessage(cosignature.timestamp, note.text)),
    "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n" +
      "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
  );
});

Deno.test("parseCheckpoint() keeps extension lines and refuses every other form", () => {
  assert.deepEqual(parseCheckpoint(`o\n1\n${ROOT_TEXT}\next 1\next 2\n`).extensions, ["ext 1", "ext 2"]);
  const hostile = [
    `o\n1\n${ROOT_TEXT}`,
    `o\n1\n`,
    `\n1\n${ROOT_TEXT}\n`,
    `o\n01\n${ROOT_TEXT}\n`,
    `o\n+1\n${ROOT_TEXT}\n`,
    `o\n-1\n${ROOT_TEXT}\n`,
    `o\n1.0\n${ROOT_TEXT}\n`,
    `o\n1e3\n${ROOT_TEXT}\n`,
    `o\n\n${ROOT_TEXT}\n`,
    `o\n9007199254740992\n${ROOT_TEXT}\n`,
    `o\n1\n${ROOT_TEXT} \n`,
    `o\n1\n${ROOT_TEXT.slice(0, -1)}\n`,
    `o\n1\n${new Uint8Array(31).toBase64()}\n`,
    `o\n1\n${ROOT_TEXT}\n\n`,
    `o\n1\n${ROOT_TEXT}\n\next\n`,
    `o\n1\n${ROOT_TEXT}\n${"ext\n".repeat(17)}`,
  ];
  for (const text of hostile) {
    assert.throws(() => parseCheckpoint(text), { code: "CHECKPOINT_MALFORMED" }, JSON.stringify(text));
  }
  assert.throws(() => parseCheckpoint(`o\n0\n${ROOT_TEXT}\n`), { code: "CHECKPOINT_EMPTY_ROOT" });
  assert.equal(parseCheckpoint(`o\n0\n${emptyRoot().toBase64()}\n`).size, 0);
  assert.equal(parseCheckpoint(`o\n9007199254740991\n${ROOT_TEXT}\n`).size, Number.MAX_SAFE_INTEGER);
});

Deno.test("formatCheckpoint() writes nothing that could not be read again", () => {
  const right: Checkpoint = { origin: "o", size: 1, root: ROOT, extensions: [] };
  const wrong: Partial<Checkpoint>[] = [
    { origin: "" },
    { origin: "a\nb" },
    { size: -1 },
    { size: 1.5 },
    { size: 2 ** 53 },
    { root: new Uint8Array(31) },
    { extensions: [""] },
  ];
  for (const change of wrong) {
    assert.throws(() => formatCheckpoint({ ...right, ...change }), { code: "CHECKPOINT_MALFORMED" });
  }
});

const LOG = checkpointSigner("log.example/a", 1);
const WITNESSES = [11, 12, 13].map((seed) =>
  witnessSigner(`witness.example/${seed}`, seed, () => 1_800_000_000)
);
const POLICY: CheckpointPolicy = {
  origin: "log.example/a",
  log: [LOG.verifier],
  witnesses: WITNESSES.map(({ verifier }) => verifier),
  quorum: 2,
};
const TEXT = formatCheckpoint({ origin: "log.example/a", size: 5, root: ROOT, extensions: [] });
const signed = (signers: readonly { signer: typeof LOG.signer }[], text = TEXT) =>
  signNote(text, signers.map(({ signer }) => signer));

Deno.test("openCheckpoint() wants the log's signature and as many witnesses as asked for", async () => {
  const opened = openCheckpoint(await signed([LOG, WITNESSES[0]!, WITNESSES[2]!]), POLICY);
  assert.equal(opened.size, 5);
  assert.deepEqual(opened.cosignatures, [
    { name: "witness.example/11", timestamp: 1_800_000_000 },
    { name: "witness.example/13", timestamp: 1_800_000_000 },
  ]);
  const open = async (signers: Parameters<typeof signed>[0], text = TEXT, policy = POLICY) =>
    openCheckpoint(await signed(signers, text), policy);
  await assert.rejects(open([LOG, WITNESSES[0]!]), { code: "CHECKPOINT_QUORUM" });
  await assert.rejects(open([LOG]), { code: "CHECKPOINT_QUORUM" });
  await assert.rejects(open(WITNESSES), { code: "CHECKPOINT_UNSIGNED" });
  await assert.rejects(open([checkpointSigner("log.example/a", 2)]), { code: "NOTE_UNSIGNED" });
  const unknown = witnessSigner("witness.example/11", 99, () => 1);
  await assert.rejects(open([LOG, WITNESSES[1]!, unknown]), { code: "CHECKPOINT_QUORUM" });
  const other = TEXT.replace("log.example/a", "log.example/b");
  await assert.rejects(open([LOG, ...WITNESSES], other), { code: "CHECKPOINT_ORIGIN" });
  await assert.rejects(open([LOG], TEXT, { ...POLICY, quorum: 4 }), { code: "CHECKPOINT_POLICY" });
});

Deno.test("a cosignature is of one time and one text", async () => {
  const note = parseNote(await signed([WITNESSES[0]!]));
  const { signature } = note.signatures[0]!;
  const verifier = WITNESSES[0]!.verifier;
  assert.ok(verifier.verify(TEXT, signature));
  assert.ok(!verifier.verify(TEXT.replace("\n5\n", "\n6\n"), signature));
  for (let i = 0; i < signature.length; i++) {
    const changed = signature.slice();
    changed[i]! ^= 0x80;
    assert.ok(!verifier.verify(TEXT, changed), `byte ${i}`);
  }
  assert.ok(!verifier.verify(TEXT, signature.slice(1)));
  assert.throws(() => cosignatureMessage(-1, TEXT), { code: "COSIGNATURE_TIME" });
  assert.throws(() => formatCosignature({ timestamp: 2 ** 53, signature }), { code: "COSIGNATURE_TIME" });
  assert.throws(() => cosignatureVerifier(parseVerifierKey(LOG.vkey)), { code: "COSIGNATURE_KEY" });
});
