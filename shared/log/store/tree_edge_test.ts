import assert from "node:assert/strict";
import fc from "fast-check";
import { toUtf8 } from "shared/base/bytes.ts";
import { emptyRoot, leafHash, treeRoot } from "../merkle.ts";
import {
  bundlesOf,
  formatBundle,
  formatTile,
  hashesAtLevel,
  TILE_WIDTH,
  tilePath,
  tilesOf,
} from "../tile.ts";
import { TreeEdge } from "./tree_edge.ts";

const entry = (index: number) => toUtf8(`entry ${index}`);
const entries = (start: number, count: number) => Array.from({ length: count }, (_, i) => entry(start + i));

/** Paths of everything that a tree of `size` has and one of `from` had not, by the format's own rules. */
function expectedPaths(size: number, from: number): string[] {
  return [...bundlesOf(size, from), ...tilesOf(size, from)].map(tilePath).sort();
}

Deno.test("TreeEdge has the root of RFC 6962 and writes the tiles of tlog-tiles, however it grows", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 6 }), (steps) => {
      const edge = new TreeEdge();
      assert.deepEqual(edge.root(), emptyRoot());
      for (const step of steps) {
        const from = edge.size;
        const written = [...edge.append(entries(from, step)), ...edge.partial()];
        const leaves = entries(0, edge.size).map(leafHash);
        assert.deepEqual(edge.root(), treeRoot(leaves));
        const paths = written.map(({ path }) => path);
        assert.equal(new Set(paths).size, paths.length);
        for (const path of expectedPaths(edge.size, from)) assert.ok(paths.includes(path), path);
        for (const { path, bytes } of written) {
          const [, index, width] = /^tile\/0\/(\d{3})(?:\.p\/(\d+))?$/.exec(path) ?? [];
          if (index === undefined) continue;
          const start = Number(index) * TILE_WIDTH;
          assert.deepEqual(bytes, formatTile(leaves.slice(start, start + Number(width ?? TILE_WIDTH))));
        }
      }
    }),
    { numRuns: 25 },
  );
});

Deno.test("TreeEdge over 256 x 256 entries begins a third level, and goes on from what it published", () => {
  const size = TILE_WIDTH * TILE_WIDTH + TILE_WIDTH + 3;
  const edge = new TreeEdge();
  const full = edge.append(entries(0, size));
  const partial = edge.partial();
  assert.deepEqual([...full, ...partial].map(({ path }) => path).sort(), expectedPaths(size, 0));
  assert.deepEqual(partial.map(({ path }) => path), [
    "tile/entries/257.p/3",
    "tile/0/257.p/3",
    "tile/1/001.p/1",
    "tile/2/000.p/1",
  ]);
  const levels = partial.filter(({ path }) => !path.includes("entries")).map(({ bytes }) =>
    Array.from({ length: bytes.length / 32 }, (_, i) => bytes.slice(32 * i, 32 * i + 32))
  );
  const again = new TreeEdge(size, levels, entries(size - 3, 3));
  assert.equal(hashesAtLevel(2, size), 1);
  assert.deepEqual(again.root(), edge.root());
  const clone = again.clone();
  const next = clone.append(entries(size, TILE_WIDTH));
  assert.deepEqual(again.root(), edge.root(), "a clone grows by itself");
  assert.deepEqual(next.map(({ path }) => path), ["tile/entries/257", "tile/0/257"]);
  assert.deepEqual(next[0]!.bytes, formatBundle(entries(TILE_WIDTH * 257, TILE_WIDTH)));
});
