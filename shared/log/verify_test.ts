import assert from "node:assert/strict";
import { toUtf8 } from "../base/bytes.ts";
import { encodeLeaf } from "./leaf.ts";
import { formatCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import { leafHash, nodeHash, treeRoot } from "./merkle.ts";
import { parseNote, signNote } from "./note.ts";
import { LogReader } from "./reader.ts";
import {
  filesSource,
  type LogFiles,
  logFiles,
  TEST_BEGINNING,
  TEST_LOG,
  TEST_POLICY,
  TEST_WITNESSES,
  testCheckpoint,
  testEntries,
  testLeaf,
} from "./testing/log_folder.ts";
import { checkpointSigner, witnessSigner } from "./testing/signers.ts";
import { type LogVerification, verifyLog, type VerifyOptions } from "./verify.ts";

const SIZE = 600;
const ENTRIES = testEntries(SIZE);
const GOOD = await logFiles(ENTRIES);
const NOW = TEST_BEGINNING + 86_400_000;

async function verify(
  change: (files: LogFiles) => void | Promise<void>,
  options: Partial<VerifyOptions> = {},
): Promise<LogVerification> {
  const files: LogFiles = new Map([...GOOD].map(([path, bytes]) => [path, bytes.slice()]));
  await change(files);
  return await verifyLog(filesSource(files), TEST_POLICY, { now: NOW, ...options });
}

const codes = ({ findings }: LogVerification) => findings.map(({ code }) => code);

Deno.test("verifyLog() verifies every file and every entry of a good log", async () => {
  const found = await verify(() => {});
  assert.deepEqual(found.findings, []);
  assert.deepEqual([found.ok, found.complete], [true, true]);
  assert.equal(found.size, SIZE);
  assert.equal(found.entries, SIZE);
  assert.equal(found.files, 4 + 3);
  assert.equal(found.cosignatures.length, 3);
  assert.equal(found.firstTime, "2024-11-21T00:00:00.000Z");
  assert.equal(found.lastTime, "2024-11-21T00:09:59.000Z");
});

Deno.test("verifyLog() an empty log verifies", async () => {
  const found = await verifyLog(filesSource(await logFiles([])), TEST_POLICY, { now: NOW });
  assert.deepEqual([found.ok, found.size, found.entries, found.files], [true, 0, 0, 0]);
});

Deno.test("verifyLog() finds a changed byte in every file, at both ends of it", async () => {
  for (const path of GOOD.keys()) {
    for (const end of [0, -1]) {
      const found = await verify((files) => {
        const bytes = files.get(path)!;
        bytes[bytes.length + end >= bytes.length ? 0 : bytes.length + end]! ^= 1;
      });
      assert.equal(found.ok, false, `${path} ${end}`);
      assert.ok(found.findings[0]!.message.length > 0);
    }
  }
});

Deno.test("verifyLog() finds every file that is missing or cut", async () => {
  for (const path of GOOD.keys()) {
    const missing = await verify((files) => void files.delete(path));
    const code = path === "checkpoint" ? "LOG_CHECKPOINT_MISSING" : "LOG_TILE_MISSING";
    assert.ok(codes(missing).includes(code), `${path}: ${codes(missing)}`);
    const cut = await verify((files) => void files.set(path, files.get(path)!.subarray(0, -1)));
    const expected = path === "checkpoint"
      ? "NOTE_MALFORMED"
      : path.includes("entries")
      ? "BUNDLE_LENGTH"
      : "TILE_LENGTH";
    assert.ok(codes(cut).includes(expected), `${path}: ${codes(cut)}`);
  }
});

Deno.test("verifyLog() tells what was done to tiles and entries, each by its own code", async () => {
  const swap = (one: string, two: string) => (files: LogFiles) => {
    const bytes = files.get(one)!;
    files.set(one, files.get(two)!);
    files.set(two, bytes);
  };
  assert.deepEqual(codes(await verify(swap("tile/0/000", "tile/0/001"))), ["TILE_HASH", "TILE_HASH"]);
  const swapped = await verify(swap("tile/entries/000", "tile/entries/001"));
  assert.deepEqual(codes(swapped), ["LOG_ENTRY_HASH", "LOG_ENTRY_HASH"]);
  assert.deepEqual(swapped.findings.map(({ file }) => file), ["tile/entries/000", "tile/entries/001"]);
  assert.equal(swapped.entries, SIZE - 512);
  const forged = await verify(async (files) => {
    // Entry and leaf tile forged together: the tile above tells.
    const entries = [...ENTRIES];
    entries[5] = encodeLeaf(testLeaf(6));
    const other = await logFiles(entries);
    for (const path of ["tile/entries/000", "tile/0/000"]) files.set(path, other.get(path)!);
  });
  assert.deepEqual(codes(forged), ["TILE_HASH"]);
  const root = await verify(async (files) => {
    const other = await logFiles(testEntries(SIZE).reverse());
    for (const [path, bytes] of other) if (path !== "checkpoint") files.set(path, bytes);
  });
  assert.deepEqual(codes(root), ["TILE_ROOT"]);
});

Deno.test("verifyLog() names the place of a single changed entry", async () => {
  const found = await verify((files) => {
    const bytes = files.get("tile/entries/001")!;
    bytes[bytes.length - 3]! ^= 1;
  });
  assert.deepEqual(found.findings.map(({ code, entry, file }) => [code, entry, file]), [
    ["LOG_ENTRY_HASH", 511, "tile/entries/001"],
  ]);
});

Deno.test("verifyLog() refuses forged, unsigned and foreign checkpoints, each by its own code", async () => {
  const other = checkpointSigner("log.example/other", 9);
  const text = parseNote(GOOD.get("checkpoint")!).text;
  const sign = (signers: readonly typeof TEST_LOG[], changed = text) =>
    signNote(changed, signers.map(({ signer }) => signer));
  const cases: [string, Uint8Array][] = [
    ["NOTE_UNSIGNED", await sign([other])],
    ["CHECKPOINT_UNSIGNED", await sign(TEST_WITNESSES)],
    ["CHECKPOINT_QUORUM", await sign([TEST_LOG, TEST_WITNESSES[0]!])],
    ["CHECKPOINT_ORIGIN", await testCheckpoint(ENTRIES, [TEST_LOG, ...TEST_WITNESSES], "log.example/other")],
    ["CHECKPOINT_MALFORMED", await sign([TEST_LOG, ...TEST_WITNESSES], text.replace("\n600\n", "\n0600\n"))],
    [
      "NOTE_SIGNATURE",
      toUtf8(new TextDecoder().decode(GOOD.get("checkpoint")!).replace("\n600\n", "\n601\n")),
    ],
    [
      "TILE_ROOT",
      await sign(
        [TEST_LOG, ...TEST_WITNESSES],
        text.replace(/\n[^\n]+=\n/, `\n${new Uint8Array(32).toBase64()}\n`),
      ),
    ],
    ["LOG_TILE_MISSING", await testCheckpoint(testEntries(601))],
  ];
  for (const [code, checkpoint] of cases) {
    const found = await verify((files) => void files.set("checkpoint", checkpoint));
    assert.deepEqual([codes(found)[0], found.ok], [code, false]);
  }
});

Deno.test("verifyLog() compares with checkpoints seen before: rollback, fork, rewritten beginning", async () => {
  const seen = async (entries: Uint8Array[]) => [await testCheckpoint(entries, [TEST_LOG])];
  assert.equal((await verify(() => {}, { seen: await seen(testEntries(300)) })).ok, true);
  assert.equal((await verify(() => {}, { seen: await seen(testEntries(SIZE)) })).ok, true);
  const changed = (size: number) => [encodeLeaf(testLeaf(7)), ...testEntries(size).slice(1)];
  const cases: [string, Uint8Array[]][] = [
    ["LOG_ROLLBACK", testEntries(601)],
    ["LOG_FORK", changed(SIZE)],
    ["LOG_INCONSISTENT", changed(300)],
  ];
  for (const [code, entries] of cases) {
    assert.deepEqual(codes(await verify(() => {}, { seen: await seen(entries) })), [code]);
  }
  const foreign = [await testCheckpoint(testEntries(1), [checkpointSigner("x", 5)])];
  assert.deepEqual(codes(await verify(() => {}, { seen: foreign })), ["NOTE_UNSIGNED"]);
});

Deno.test("verifyLog() a stale log is told by its newest sign of life", async () => {
  assert.equal((await verify(() => {}, { maxAgeMs: 1000 })).ok, true, "the witnesses cosigned now");
  const found = await verify(() => {}, { maxAgeMs: 1000, now: NOW + 2000 });
  assert.deepEqual([codes(found), found.ok], [["LOG_STALE"], false]);
});

Deno.test("verifyLog() one witness whose clock is ahead keeps no old log young", async () => {
  const ahead = witnessSigner("witness.example/1", 101, () => 2 ** 50);
  const checkpoint = await testCheckpoint(ENTRIES, [TEST_LOG, ahead, ...TEST_WITNESSES.slice(1)]);
  const files = new Map(GOOD).set("checkpoint", checkpoint);
  const judge = async (now: number) =>
    codes(await verifyLog(filesSource(files), TEST_POLICY, { now, maxAgeMs: 1000 }));
  assert.deepEqual(await judge(NOW), ["LOG_TIME_AHEAD"]);
  assert.deepEqual(await judge(NOW + 2000), ["LOG_TIME_AHEAD", "LOG_STALE"]);
});

Deno.test("verifyLog() ends after a number of faults: a checkpoint can name more tiles than there can be", async () => {
  const size = 2 ** 40 + 1;
  const leaf = leafHash(testEntries(1)[0]!);
  const files: LogFiles = new Map([
    ["tile/5/000.p/1", leaf],
    ["tile/0/x004/x294/x967/296.p/1", leaf],
  ]);
  const text = formatCheckpoint({
    origin: TEST_POLICY.origin,
    size,
    root: nodeHash(leaf, leaf),
    extensions: [],
  });
  files.set("checkpoint", await signNote(text, [TEST_LOG, ...TEST_WITNESSES].map(({ signer }) => signer)));
  const found = await verifyLog(filesSource(files), TEST_POLICY, { now: NOW });
  assert.deepEqual([found.ok, found.complete], [false, false]);
  assert.ok(codes(found).every((code) => code === "LOG_TILE_MISSING"));
});

Deno.test("verifyLog() reports times that go back and entries that are none, and changes nothing", async () => {
  const entries = testEntries(5);
  entries[2] = encodeLeaf(testLeaf(2, { time: "2024-11-20T23:59:59.000Z" }));
  const back = await verifyLog(filesSource(await logFiles(entries)), TEST_POLICY, { now: NOW });
  assert.deepEqual(back.findings.map(({ code, entry, severity }) => [code, entry, severity]), [
    ["LOG_TIME_BACK", 2, "notice"],
  ]);
  assert.equal(back.ok, true);
  entries[3] = toUtf8('{"note":"Ada Lovelace"}');
  const none = await verifyLog(filesSource(await logFiles(entries)), TEST_POLICY, { now: NOW });
  assert.deepEqual(codes(none), ["LOG_TIME_BACK", "LEAF_SCHEMA"]);
  assert.ok(!JSON.stringify(none.findings).includes("Ada"));
});

Deno.test("verifyLog() keeps a bounded number of findings and counts the rest", async () => {
  const entries = Array.from({ length: 150 }, (_, i) => toUtf8(`no leaf ${i}`));
  const found = await verifyLog(filesSource(await logFiles(entries)), TEST_POLICY, { now: NOW });
  assert.deepEqual([found.findings.length, found.findingsNotKept, found.ok], [100, 50, false]);
});

Deno.test("LogReader takes the part of a full tile where the partial one is gone", async () => {
  const files = await logFiles(testEntries(512));
  files.set("checkpoint", await testCheckpoint(testEntries(300)));
  const tiles = await logFiles(testEntries(300));
  // Only the partial tile of level 1 differs in what it holds: two trees, one level 0.
  files.set("tile/1/000.p/1", tiles.get("tile/1/000.p/1")!);
  const reader = await LogReader.open(filesSource(files), TEST_POLICY);
  assert.equal((await Array.fromAsync(reader.entries(250, 999))).length, 50);
  assert.deepEqual((await reader.entry(299)).bytes, encodeLeaf(testLeaf(299)));
  await assert.rejects(reader.entry(300), { code: "PROOF_RANGE" });
  assert.deepEqual(
    parseCheckpoint(reader.checkpoint.note.text).root,
    treeRoot(testEntries(300).map(leafHash)),
  );
});
