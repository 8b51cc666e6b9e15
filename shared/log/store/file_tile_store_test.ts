import assert from "node:assert/strict";
import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { openFileTileStore } from "./file_tile_store.ts";
import type { WritePoint } from "./tile_store.ts";

const sizeOf = (bytes: Uint8Array) => Number(fromUtf8(bytes));
const tile = (path: string, text: string) => ({ path, bytes: toUtf8(text), full: !path.includes(".p/") });

async function withFolder(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "rk-tiles-" });
  try {
    await work(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("openFileTileStore() writes each file whole and synced, and its folders after it", () =>
  withFolder(async (directory) => {
    const points: WritePoint[] = [];
    const store = await openFileTileStore({ directory, onWrite: (point) => points.push(point) });
    await store.putTiles([tile("tile/0/x001/000", "a")]);
    assert.deepEqual(points.slice(0, 3), ["tile-written", "tile-synced", "tile-renamed"]);
    // tile/0/x001, tile/0, tile and the log's own folder.
    assert.deepEqual(points.slice(3), Array(4).fill("folder-synced"));
    assert.equal(fromUtf8((await store.read("tile/0/x001/000"))!), "a");
    // A new folder's name stands in the one above it, which was synced before that name was there.
    points.length = 0;
    await store.putTiles([tile("tile/0/x002/000", "b")]);
    assert.deepEqual(points.slice(3), Array(2).fill("folder-synced"));
    assert.equal(await store.read("tile/0/x001/001"), undefined);
    assert.deepEqual([...Deno.readDirSync(`${directory}/.unfinished`)], []);
  }));

Deno.test("openFileTileStore() never writes over a tile", () =>
  withFolder(async (directory) => {
    const store = await openFileTileStore({ directory });
    await store.putTiles([tile("tile/0/000", "a"), tile("tile/0/001.p/5", "b")]);
    await store.putTiles([tile("tile/0/000", "a")]);
    await assert.rejects(store.putTiles([tile("tile/0/000", "c")]), { code: "LOG_TILE_CONFLICT" });
    await assert.rejects(store.putTiles([tile("tile/0/001.p/5", "c")]), { code: "LOG_TILE_CONFLICT" });
    assert.equal(fromUtf8((await store.read("tile/0/000"))!), "a");
    await store.putTiles([tile("tile/0/001", "bb")]);
    await store.removePartial([tile("tile/0/001", "bb")]);
    assert.equal(await store.read("tile/0/001.p/5"), undefined);
    assert.equal(fromUtf8((await store.read("tile/0/001"))!), "bb");
  }));

Deno.test("openFileTileStore() shows no smaller checkpoint behind a larger one, of many that publish at once", () =>
  withFolder(async (directory) => {
    const store = await openFileTileStore({ directory });
    const other = await openFileTileStore({ directory });
    assert.equal(await store.checkpoint(), undefined);
    const shown = await Promise.all(
      Array.from(
        { length: 20 },
        (_, i) => (i % 2 === 0 ? store : other).publish(toUtf8(String(i + 1)), sizeOf),
      ),
    );
    assert.ok(shown[19]);
    assert.equal(sizeOf((await store.checkpoint())!), 20);
    assert.equal(await other.publish(toUtf8("7"), sizeOf), false);
    assert.equal(await other.publish(toUtf8("20"), sizeOf), true);
    assert.equal(sizeOf((await store.checkpoint())!), 20);
  }));

Deno.test("openFileTileStore() leaves nothing of a file that could not be written", () =>
  withFolder(async (directory) => {
    let broken = true;
    const store = await openFileTileStore({
      directory,
      onWrite: (point) => {
        if (broken && point === "tile-written") throw Object.assign(new Error("full"), { code: "ENOSPC" });
      },
    });
    await assert.rejects(store.putTiles([tile("tile/0/000", "a")]), {
      code: "LOG_TILE_STORAGE",
      message: "Cannot write tile/0/000: ENOSPC",
    });
    assert.equal(await store.read("tile/0/000"), undefined);
    assert.deepEqual([...Deno.readDirSync(`${directory}/.unfinished`)], []);
    broken = false;
    await store.putTiles([tile("tile/0/000", "a")]);
    assert.match(await store.keepEvidence("x.json", "{}"), /evidence\/x\.json$/);
    await assert.rejects(store.keepEvidence("x.json", "{}"), { code: "LOG_TILE_STORAGE" });
  }));
