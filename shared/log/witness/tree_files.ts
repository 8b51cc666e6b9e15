/** The files of a log's tree, tiles and bundles of entries, each checked against a checkpoint. */

import { equal } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { leafHash } from "../merkle.ts";
import { type ReadTile, TileTree } from "../proof_from_tiles.ts";
import { parseBundle, type Tile, tileAt, tilePath } from "../tile.ts";
import type { TreeHead } from "./decision.ts";

/** Reads files of a tree and believes none. */
export class TreeFiles {
  readonly tree: TileTree;
  readonly #size: number;
  readonly #read: ReadTile;

  /** @param read may answer with anything: what comes is checked. */
  constructor({ size, root }: TreeHead, read: ReadTile) {
    this.tree = new TileTree(size, root, read);
    this.#size = size;
    this.#read = read;
  }

  /**
   * Checks one file, wherever it stands in the tree.
   * @throws {CodedError} `TILE_*`, `BUNDLE_LENGTH`, `BUNDLE_ENTRIES` when it is not of the tree.
   */
  async check(tile: Tile): Promise<void> {
    if (tile.width !== tileAt(tile.level, tile.index, this.#size)?.width) {
      throw new CodedError(
        "TILE_OUTSIDE",
        `Cannot check ${tilePath(tile)}: a tree of ${this.#size} has none`,
      );
    }
    if (tile.level !== "entries") return void await this.tree.hashes(tile.level, tile.index);
    const hashes = await this.tree.hashes(0, tile.index);
    const entries = parseBundle(await this.#read(tile), tile.width);
    if (!entries.every((entry, i) => equal(leafHash(entry), hashes[i]!))) {
      throw new CodedError(
        "BUNDLE_ENTRIES",
        `Cannot trust ${tilePath(tile)}: its entries are not those that the tree has`,
      );
    }
  }
}

defineErrors({
  BUNDLE_ENTRIES: {
    fault: "peer",
    retry: false,
    next: "The bundle was changed: keep it, and ask whoever runs the log.",
  },
});
