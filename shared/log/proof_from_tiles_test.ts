import assert from "node:assert/strict";
import {
  consistencyProof,
  inclusionProof,
  leafHash,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts";
import { type ReadTile, tilesOnPath, TileTree } from "./proof_from_tiles.ts";
import { tilesFrom } from "./testing/tiles.ts";
import { tilePath } from "./tile.ts";

const LEAVES = Array.from({ length: 66_050 }, (_, i) => leafHash(Uint8Array.of(i >> 16, i >> 8, i)));
const FILES = new Map<number, ReadonlyMap<string, Uint8Array>>();

function reader(size: number): ReadTile {
  if (!FILES.has(size)) FILES.set(size, tilesFrom(LEAVES.slice(0, size)));
  const files = FILES.get(size)!;
  return (tile) => Promise.resolve(files.get(tilePath(tile))!);
}

const SIZES = [1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 700, 65_536, 66_050];

Deno.test("TileTree gives the proofs that the whole tree gives", async () => {
  for (const size of SIZES) {
    const leaves = LEAVES.slice(0, size);
    const root = treeRoot(leaves);
    const tree = new TileTree(size, root, reader(size));
    await tree.verifyRoot();
    const places = [0, 1, 2, 254, 255, 256, 257, Math.floor(size / 2), size - 2, size - 1];
    for (const index of places.filter((place) => place >= 0 && place < size)) {
      const proof = await tree.inclusionProof(index);
      assert.deepEqual(await tree.leaf(index), leaves[index]);
      assert.ok(verifyInclusion(proof, index, size, leaves[index]!, root), `${index} of ${size}`);
      if (size < 1000) assert.deepEqual(proof, inclusionProof(index, leaves));
    }
    // The roots to compare with are hashed plainly, which takes its time for large trees: two of those are enough.
    const firsts = size < 1000 ? [...places, size] : [257, size - 1];
    for (const first of firsts.filter((place) => place > 0 && place <= size)) {
      const proof = await tree.consistencyProof(first);
      const firstRoot = treeRoot(leaves.slice(0, first));
      assert.deepEqual(await tree.rootAt(first), firstRoot);
      assert.ok(verifyConsistency(proof, first, size, firstRoot, root), `${first} of ${size}`);
      if (size < 1000) assert.deepEqual(proof, consistencyProof(first, leaves));
    }
  }
});

Deno.test("TileTree believes no tile: a changed byte in any of them is found", async () => {
  const size = 700;
  const root = treeRoot(LEAVES.slice(0, size));
  const right = reader(size);
  for (const path of ["tile/1/000.p/2", "tile/0/002.p/188", "tile/0/000", "tile/0/001"]) {
    const tree = new TileTree(size, root, async (tile) => {
      const bytes = (await right(tile)).slice();
      if (tilePath(tile) === path) bytes[bytes.length - 1]! ^= 1;
      return bytes;
    });
    const code = path.includes(".p/") ? "TILE_ROOT" : "TILE_HASH";
    const index = path === "tile/0/001" ? 300 : 0;
    await assert.rejects(tree.inclusionProof(index === 0 ? 100 : 300).then(() => tree.leaf(index)), { code });
  }
  const cut = new TileTree(size, root, async (tile) => (await right(tile)).subarray(1));
  await assert.rejects(cut.leaf(0), { code: "TILE_LENGTH" });
  const other = new TileTree(size, treeRoot(LEAVES.slice(1, size + 1)), right);
  await assert.rejects(other.verifyRoot(), { code: "TILE_ROOT" });
});

Deno.test("TileTree answers for what it has", async () => {
  const tree = new TileTree(3, treeRoot(LEAVES.slice(0, 3)), reader(3));
  for (const index of [-1, 3, 0.5]) {
    await assert.rejects(tree.inclusionProof(index), { code: "PROOF_RANGE" });
  }
  await assert.rejects(tree.consistencyProof(4), { code: "PROOF_RANGE" });
  await assert.rejects(tree.rootAt(4), { code: "PROOF_RANGE" });
  await assert.rejects(tree.hashes(0, 1), { code: "TILE_OUTSIDE" });
  assert.deepEqual(await tree.consistencyProof(0), []);
  const empty = new TileTree(0, treeRoot([]), () => Promise.reject(new Error("no tile to read")));
  await empty.verifyRoot();
});

Deno.test("tilesOnPath() names the tiles from a leaf to the root", () => {
  assert.deepEqual(tilesOnPath(300, 66_050).map(tilePath), ["tile/0/001", "tile/1/000", "tile/2/000.p/1"]);
  assert.deepEqual(tilesOnPath(66_049, 66_050).map(tilePath), ["tile/0/258.p/2"]);
  assert.deepEqual(tilesOnPath(0, 1).map(tilePath), ["tile/0/000.p/1"]);
});
