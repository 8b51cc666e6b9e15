/** The tiles of a tree, made the plain way: every level is hashed whole. */

import { treeRoot } from "../merkle.ts";
import { formatBundle, formatTile, TILE_WIDTH, tileAt, tilePath } from "../tile.ts";

/** Path -> bytes of every tile over these leaf hashes. */
export function tilesFrom(leaves: readonly Uint8Array[]): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let hashes = leaves;
  for (let level = 0; hashes.length > 0; level++) {
    const above: Uint8Array[] = [];
    for (let index = 0; index * TILE_WIDTH < hashes.length; index++) {
      const tile = hashes.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH);
      files.set(tilePath(tileAt(level, index, leaves.length)!), formatTile(tile));
      if (tile.length === TILE_WIDTH) above.push(treeRoot(tile));
    }
    hashes = above;
  }
  return files;
}

/** Path -> bytes of every bundle of these entries. */
export function bundlesFrom(entries: readonly Uint8Array[]): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (let index = 0; index * TILE_WIDTH < entries.length; index++) {
    const bundle = entries.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH);
    files.set(tilePath(tileAt("entries", index, entries.length)!), formatBundle(bundle));
  }
  return files;
}
