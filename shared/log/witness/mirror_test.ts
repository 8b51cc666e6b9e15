import assert from "node:assert/strict";
import { bundlesFrom, tilesFrom } from "../testing/tiles.ts";
import { judgeEvidence } from "./evidence.ts";
import { Mirror } from "./mirror.ts";
import { folderSource, tileFolder } from "./mirror_files.ts";
import { TestLog } from "./testing/test_log.ts";
import { testWitness } from "./testing/test_witness.ts";

const ORIGIN = "log.example/a";
const LOG = new TestLog(ORIGIN, 700);
const FORK = new TestLog(ORIGIN, 700, "other", 1, 300);

/** Publishes the files of a size, as a log does before its checkpoint. */
async function publish(folder: string, log: TestLog, size: number): Promise<void> {
  const files = new Map([...tilesFrom(log.leaves(size)), ...bundlesFrom(log.entries.slice(0, size))]);
  for (const [path, content] of files) {
    await Deno.mkdir(`${folder}/${path.replace(/\/[^/]*$/, "")}`, { recursive: true });
    await Deno.writeFile(`${folder}/${path}`, content);
  }
}

async function mirrored(
  run: (parts: {
    published: string;
    kept: string;
    test: ReturnType<typeof testWitness>;
  }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const [published, kept] = [`${folder}/published`, `${folder}/kept`];
  const mirror = new Mirror(folderSource(published), tileFolder(kept));
  using test = testWitness([{ origin: ORIGIN, vkey: LOG.key.vkey, mirror }]);
  try {
    await run({ published, kept, test });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a mirror cosigns what it has fetched, checked and stored", () =>
  mirrored(async ({ published, kept, test }) => {
    const absent = await test.witness.addCheckpoint(await LOG.request(0, 5));
    assert.deepEqual([absent.status, absent.reason], [503, "MIRROR_SOURCE"]);
    assert.equal(test.store.latest(ORIGIN), undefined);
    let old = 0;
    for (const size of [5, 256, 300, 700]) {
      await publish(published, LOG, size);
      assert.equal((await test.witness.addCheckpoint(await LOG.request(old, size))).status, 200);
      old = size;
    }
    for (const [path, content] of [...tilesFrom(LOG.leaves(700)), ...bundlesFrom(LOG.entries)]) {
      assert.deepEqual(await Deno.readFile(`${kept}/${path}`), content, path);
    }
    assert.deepEqual(test.evidence(), []);
  }));

Deno.test("every file that is not of the tree is refused and kept as evidence that can be checked again", async (t) => {
  for (
    const [path, change] of [
      ["tile/0/000", (bytes: Uint8Array) => bytes.with(40, bytes[40]! ^ 1)],
      ["tile/0/002.p/188", (bytes: Uint8Array) => bytes.with(0, bytes[0]! ^ 1)],
      ["tile/1/000.p/2", (bytes: Uint8Array) => bytes.with(33, bytes[33]! ^ 1)],
      ["tile/0/001", (bytes: Uint8Array) => bytes.subarray(0, -1)],
      ["tile/entries/000", (bytes: Uint8Array) => bytes.with(5, bytes[5]! ^ 1)],
      ["tile/entries/002.p/188", (bytes: Uint8Array) => bytes.subarray(0, -1)],
    ] as const
  ) {
    await t.step(path, () =>
      mirrored(async ({ published, test }) => {
        await publish(published, LOG, 700);
        const good = await Deno.readFile(`${published}/${path}`);
        await Deno.writeFile(`${published}/${path}`, change(good));
        const answer = await test.witness.addCheckpoint(await LOG.request(0, 700));
        assert.deepEqual([answer.status, answer.reason], [422, "WITNESS_TILES"]);
        assert.equal(test.store.latest(ORIGIN), undefined);
        const [evidence] = test.evidence();
        assert.equal(evidence!.kind, "tiles");
        assert.equal((await judgeEvidence(evidence!)).verdict, "inconclusive");
        // With the right file in its place the same evidence shows nothing.
        const healed = evidence!.tiles.map((tile) =>
          tile.path === path ? { path, content: good.toBase64() } : tile
        );
        assert.equal((await judgeEvidence({ ...evidence!, tiles: healed })).verdict, "forged");
        const without = evidence!.tiles.filter((tile) => tile.path !== "tile/1/000.p/2");
        if (path !== "tile/1/000.p/2") {
          assert.equal((await judgeEvidence({ ...evidence!, tiles: without })).verdict, "forged");
        }
        await Deno.writeFile(`${published}/${path}`, good);
        assert.equal((await test.witness.addCheckpoint(await LOG.request(0, 700))).status, 200);
      }));
  }
});

Deno.test("with the files at hand a smaller checkpoint of another history is proven, an old one of the same is none", () =>
  mirrored(async ({ published, test }) => {
    await publish(published, LOG, 700);
    await test.witness.addCheckpoint(await LOG.request(0, 700));
    assert.equal((await test.witness.addCheckpoint(await LOG.request(0, 512))).status, 409);
    assert.equal((await test.witness.addCheckpoint(await LOG.request(0, 300))).status, 409);
    assert.deepEqual(test.evidence(), []);
    // A power of two as well, where the proof itself does not hold the old root.
    for (const size of [400, 512]) {
      assert.equal((await test.witness.addCheckpoint(await FORK.request(0, size))).status, 409);
    }
    const found = test.evidence();
    assert.deepEqual(found.map(({ kind }) => kind), ["other-history", "other-history"]);
    for (const evidence of found) assert.equal((await judgeEvidence(evidence)).verdict, "proven");
  }));
