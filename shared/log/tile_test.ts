import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bundlesOf,
  edgeTiles,
  formatBundle,
  formatTile,
  parseBundle,
  parseTile,
  parseTilePath,
  type Tile,
  TILE_WIDTH,
  tilePath,
  tilesOf,
} from "./tile.ts";

Deno.test("tilePath() writes the paths of the specification", () => {
  assert.equal(tilePath({ level: 0, index: 1234067, width: 256 }), "tile/0/x001/x234/067");
  assert.equal(tilePath({ level: 0, index: 273, width: 112 }), "tile/0/273.p/112");
  assert.equal(tilePath({ level: 1, index: 0, width: 256 }), "tile/1/000");
  assert.equal(tilePath({ level: "entries", index: 1000, width: 1 }), "tile/entries/x001/000.p/1");
});

Deno.test("parseTilePath() reads what tilePath() writes", () => {
  const tile = fc.record({
    level: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant("entries" as const)),
    index: fc.oneof(fc.nat(3000), fc.maxSafeNat()),
    width: fc.integer({ min: 1, max: 256 }),
  }, { noNullPrototype: true });
  fc.assert(fc.property(tile, (value) => assert.deepEqual(parseTilePath(tilePath(value)), value)));
});

Deno.test("parseTilePath() refuses every other text", () => {
  const hostile = [
    "tile/0/0",
    "tile/0/0000",
    "tile/00/000",
    "tile/7/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/0/x000/000",
    "tile/0/x00/000",
    "tile/0/001/000",
    "tile/0/x001",
    "tile/0/x001/x000",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/0/000.p/01",
    "tile/0/000.p/",
    "tile/0/000/",
    "/tile/0/000",
    "tile/0/../000",
    "tile/data/000",
    "tile/0/000\n",
    "tile/0/x999/x999/x999/x999/x999/999",
  ];
  for (const path of hostile) {
    assert.throws(() => parseTilePath(path), { code: "TILE_PATH" }, JSON.stringify(path));
  }
});

Deno.test("tilesOf() and edgeTiles() give the trees of the specification", () => {
  const count = (size: number, level: number, full: boolean) =>
    [...tilesOf(size)].filter((tile) => tile.level === level && (tile.width === TILE_WIDTH) === full);
  assert.equal(count(70_000, 0, true).length, 273);
  assert.deepEqual(count(70_000, 0, false), [{ level: 0, index: 273, width: 112 }]);
  assert.deepEqual(count(70_000, 1, true), [{ level: 1, index: 0, width: 256 }]);
  assert.deepEqual(count(70_000, 1, false), [{ level: 1, index: 1, width: 17 }]);
  assert.deepEqual(count(70_000, 2, false), [{ level: 2, index: 0, width: 1 }]);
  assert.deepEqual([...tilesOf(256)], [
    { level: 0, index: 0, width: 256 },
    { level: 1, index: 0, width: 1 },
  ]);
  assert.deepEqual(edgeTiles(70_000).map(tilePath), [
    "tile/2/000.p/1",
    "tile/1/001.p/17",
    "tile/0/273.p/112",
  ]);
  assert.deepEqual([...tilesOf(0)], []);
  assert.equal([...bundlesOf(70_000)].length, 274);
});

Deno.test("tilesOf() of a growth names every tile that is new or wider, and no other", () => {
  const all = (size: number): Tile[] => [...tilesOf(size), ...bundlesOf(size)];
  fc.assert(
    fc.property(fc.nat(200_000), fc.nat(1000), (from, growth) => {
      const before = new Set(all(from).map(tilePath));
      const grown = [...tilesOf(from + growth, from), ...bundlesOf(from + growth, from)].map(tilePath);
      assert.deepEqual(grown, all(from + growth).map(tilePath).filter((path) => !before.has(path)));
    }),
    { numRuns: 50 },
  );
});

Deno.test("bundles and tiles round-trip, and only their exact bytes are read", () => {
  const entries = [new Uint8Array(0), Uint8Array.of(1), new Uint8Array(300).fill(2)];
  const bundle = formatBundle(entries);
  assert.deepEqual(parseBundle(bundle, 3), entries);
  assert.deepEqual([...bundle.subarray(0, 5)], [0, 0, 0, 1, 1]);
  for (let length = 0; length < bundle.length; length++) {
    assert.throws(() => parseBundle(bundle.subarray(0, length), 3), { code: "BUNDLE_LENGTH" });
  }
  for (const width of [2, 4]) assert.throws(() => parseBundle(bundle, width), { code: "BUNDLE_LENGTH" });
  assert.throws(() => formatBundle([]), { code: "BUNDLE_LENGTH" });
  assert.throws(() => formatBundle([new Uint8Array(65_536)]), { code: "BUNDLE_ENTRY_LENGTH" });
  const hashes = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  assert.deepEqual(parseTile(formatTile(hashes), 2), hashes);
  assert.throws(() => parseTile(formatTile(hashes), 1), { code: "TILE_LENGTH" });
  assert.throws(() => formatTile([]), { code: "TILE_LENGTH" });
  assert.throws(() => formatTile([new Uint8Array(31)]), { code: "TILE_LENGTH" });
});
