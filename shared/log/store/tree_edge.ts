/**
 * The right edge of a growing tree: what is needed to add leaves and to know the root, and no more. For each tile level the
 * hashes of its last, partial tile; and the entries of the last, partial bundle.
 */

import { emptyRoot, leafHash, treeRoot } from "../merkle.ts";
import { formatBundle, formatTile, type Tile, TILE_WIDTH, tilePath } from "../tile.ts";

/** A file that the log publishes, with its path below the log's folder. */
export interface TileFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Partial ones may be removed when the full one is there. */
  readonly full: boolean;
}

/** A tree that grows. */
export class TreeEdge {
  #size: number;
  #levels: Uint8Array[][];
  #bundle: Uint8Array[];

  /**
   * @param size leaves so far.
   * @param levels hashes of the partial tile of each level, lowest first; empty where the last tile is full.
   * @param bundle entries of the partial bundle.
   */
  constructor(
    size = 0,
    levels: readonly (readonly Uint8Array[])[] = [],
    bundle: readonly Uint8Array[] = [],
  ) {
    this.#size = size;
    this.#levels = levels.map((level) => [...level]);
    this.#bundle = [...bundle];
  }

  /** Leaves so far. */
  get size(): number {
    return this.#size;
  }

  /** A copy that grows by itself. Costs as much as the edge: at most 255 hashes a level. */
  clone(): TreeEdge {
    return new TreeEdge(this.#size, this.#levels, this.#bundle);
  }

  /** Root (32) of the tree so far. */
  root(): Uint8Array {
    // What is right of the last full tile of a level is one smaller subtree of the level above, and its last.
    let right: Uint8Array | undefined;
    for (const level of this.#levels) {
      const nodes = right === undefined ? level : [...level, right];
      if (nodes.length > 0) right = treeRoot(nodes);
    }
    return right ?? emptyRoot();
  }

  /** Adds entries. @returns the tiles and bundles that became full, lowest level first. */
  append(entries: readonly Uint8Array[]): TileFile[] {
    const full: TileFile[] = [];
    for (const entry of entries) {
      this.#bundle.push(entry);
      this.#size++;
      if (this.#bundle.length === TILE_WIDTH) {
        const index = this.#size / TILE_WIDTH - 1;
        full.push(file({ level: "entries", index, width: TILE_WIDTH }, formatBundle(this.#bundle)));
        this.#bundle = [];
      }
      this.#push(0, leafHash(entry), full);
    }
    return full;
  }

  #push(level: number, hash: Uint8Array, full: TileFile[]): void {
    const hashes = this.#levels[level] ??= [];
    hashes.push(hash);
    if (hashes.length < TILE_WIDTH) return;
    const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1)) - 1;
    full.push(file({ level, index, width: TILE_WIDTH }, formatTile(hashes)));
    this.#levels[level] = [];
    this.#push(level + 1, treeRoot(hashes), full);
  }

  /** The partial tiles and the partial bundle of the tree so far. */
  partial(): TileFile[] {
    const files: TileFile[] = [];
    if (this.#bundle.length > 0) {
      const index = Math.floor(this.#size / TILE_WIDTH);
      files.push(
        file({ level: "entries", index, width: this.#bundle.length }, formatBundle(this.#bundle)),
      );
    }
    for (const [level, hashes] of this.#levels.entries()) {
      if (hashes.length === 0) continue;
      const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1));
      files.push(file({ level, index, width: hashes.length }, formatTile(hashes)));
    }
    return files;
  }
}

function file(tile: Tile, bytes: Uint8Array): TileFile {
  return { path: tilePath(tile), bytes, full: tile.width === TILE_WIDTH };
}
