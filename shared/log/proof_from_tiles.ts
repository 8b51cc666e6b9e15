/**
 * Proofs computed from tiles. No tile is believed: the partial tiles at the right edge must give the checkpoint's root, and
 * every other tile must give the hash that an already believed tile above it holds.
 */

import { equal } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import { emptyRoot, nodeHash, treeRoot } from "./merkle.ts";
import { edgeTiles, hashesAtLevel, parseTile, type Tile, TILE_WIDTH, tileAt, tilePath } from "./tile.ts";

/** Reads the bytes of a tile. It may answer with anything: what comes is checked. */
export type ReadTile = (tile: Tile) => Promise<Uint8Array>;

/** Tiles that stay in memory: those on the paths from a few places to the root. 8 KiB each. */
const TILES_KEPT = 128;

/** A tree of which a checkpoint gives size and root, read through its tiles. */
export class TileTree {
  readonly #size: number;
  readonly #root: Uint8Array;
  readonly #readTile: ReadTile;
  #edge: Promise<Map<string, Uint8Array[]>> | undefined;
  readonly #kept = new Map<string, Uint8Array[]>();

  /**
   * @param size leaves, as the checkpoint says.
   * @param root root (32), as the checkpoint says; whether the checkpoint is trusted is the caller's matter.
   */
  constructor(size: number, root: Uint8Array, readTile: ReadTile) {
    this.#size = size;
    this.#root = root;
    this.#readTile = readTile;
  }

  /** Reads the right edge and compares it with the root. @throws {CodedError} `TILE_ROOT`, `TILE_LENGTH`. */
  async verifyRoot(): Promise<void> {
    await this.#edgeHashes();
  }

  /**
   * The hashes of one tile, checked against the root.
   * @throws {CodedError} `TILE_ROOT`, `TILE_HASH`, `TILE_LENGTH`, `TILE_OUTSIDE`.
   */
  async hashes(level: number, index: number): Promise<readonly Uint8Array[]> {
    const tile = tileAt(level, index, this.#size);
    if (tile === undefined) {
      throw new CodedError("TILE_OUTSIDE", `Cannot read tile ${index} of level ${level}: the tree has none`);
    }
    const key = tilePath(tile);
    const edge = await this.#edgeHashes();
    const known = edge.get(key) ?? this.#kept.get(key);
    if (known !== undefined) return known;
    // Not at the edge, so it is full and the tile above holds its hash.
    const above = await this.hashes(level + 1, Math.floor(index / TILE_WIDTH));
    const hashes = parseTile(await this.#readTile(tile), tile.width);
    if (!equal(treeRoot(hashes), above[index % TILE_WIDTH]!)) {
      throw new CodedError("TILE_HASH", `Cannot trust ${key}: its hash is not the one in the tile above`, {
        tile: key,
      });
    }
    this.#kept.set(key, hashes);
    if (this.#kept.size > TILES_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    return hashes;
  }

  /** Hash of the leaf at an index (32). @throws {CodedError} as {@link hashes}. */
  async leaf(index: number): Promise<Uint8Array> {
    return (await this.hashes(0, Math.floor(index / TILE_WIDTH)))[index % TILE_WIDTH]!;
  }

  /**
   * Audit path of a leaf, lowest first. RFC 6962, 2.1.1.
   * @throws {CodedError} `PROOF_RANGE` when the tree has no such leaf; as {@link hashes}.
   */
  async inclusionProof(index: number): Promise<Uint8Array[]> {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.#size) {
      throw new CodedError("PROOF_RANGE", `Cannot prove entry ${index}: the tree has ${this.#size}`);
    }
    const proof: Uint8Array[] = [];
    let [start, end] = [0, this.#size];
    while (end - start > 1) {
      const middle = start + split(end - start);
      if (index < middle) {
        proof.push(await this.#rangeHash(middle, end));
        end = middle;
      } else {
        proof.push(await this.#rangeHash(start, middle));
        start = middle;
      }
    }
    return proof.reverse();
  }

  /**
   * Proof that the tree begins with the one of `first` leaves. RFC 6962, 2.1.2. Empty for 0 and for the size itself.
   * @throws {CodedError} `PROOF_RANGE` when the tree is smaller; as {@link hashes}.
   */
  async consistencyProof(first: number): Promise<Uint8Array[]> {
    if (!Number.isSafeInteger(first) || first < 0 || first > this.#size) {
      throw new CodedError("PROOF_RANGE", `Cannot prove size ${first}: the tree has ${this.#size}`);
    }
    if (first === 0) return [];
    const proof: Uint8Array[] = [];
    let [start, end, whole] = [0, this.#size, true];
    while (first !== end) {
      const middle = start + split(end - start);
      if (first <= middle) {
        proof.push(await this.#rangeHash(middle, end));
        end = middle;
      } else {
        proof.push(await this.#rangeHash(start, middle));
        start = middle;
        whole = false;
      }
    }
    if (!whole) proof.push(await this.#rangeHash(start, end));
    return proof.reverse();
  }

  /** Root of the tree when it had `size` leaves. @throws {CodedError} `PROOF_RANGE`; as {@link hashes}. */
  async rootAt(size: number): Promise<Uint8Array> {
    if (!Number.isSafeInteger(size) || size < 0 || size > this.#size) {
      throw new CodedError("PROOF_RANGE", `Cannot compute root of size ${size}: the tree has ${this.#size}`);
    }
    return size === 0 ? emptyRoot() : await this.#rangeHash(0, size);
  }

  /** Hash of the leaves from `start` to before `end`, where `start` is where a subtree of at least that size begins. */
  async #rangeHash(start: number, end: number): Promise<Uint8Array> {
    const length = end - start;
    const left = length === 1 ? 1 : split(length);
    if (length > 1 && left * 2 !== length) {
      return nodeHash(await this.#rangeHash(start, start + left), await this.#rangeHash(start + left, end));
    }
    // A complete subtree: some neighbouring hashes of one tile.
    let level = 0;
    while (TILE_WIDTH ** (level + 1) <= length) level++;
    const unit = TILE_WIDTH ** level;
    const first = start / unit;
    const hashes = await this.hashes(level, Math.floor(first / TILE_WIDTH));
    const offset = first % TILE_WIDTH;
    return treeRoot(hashes.slice(offset, offset + length / unit));
  }

  #edgeHashes(): Promise<Map<string, Uint8Array[]>> {
    this.#edge ??= this.#readEdge();
    return this.#edge;
  }

  async #readEdge(): Promise<Map<string, Uint8Array[]>> {
    const edge = new Map<string, Uint8Array[]>();
    const peaks: Uint8Array[] = [];
    for (const tile of edgeTiles(this.#size)) {
      const hashes = parseTile(await this.#readTile(tile), tile.width);
      edge.set(tilePath(tile), hashes);
      peaks.push(...completeSubtrees(hashes));
    }
    const root = peaks.length === 0 ? emptyRoot() : peaks.reduceRight((right, left) => nodeHash(left, right));
    if (!equal(root, this.#root)) {
      throw new CodedError(
        "TILE_ROOT",
        `Cannot trust tiles: they do not give the root of size ${this.#size}`,
      );
    }
    return edge;
  }
}

/** Roots of the complete subtrees that fewer than 256 neighbouring hashes make up, largest first. */
function completeSubtrees(hashes: readonly Uint8Array[]): Uint8Array[] {
  const roots: Uint8Array[] = [];
  let offset = 0;
  for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
    if ((hashes.length & width) === 0) continue;
    roots.push(treeRoot(hashes.slice(offset, offset + width)));
    offset += width;
  }
  return roots;
}

/** The largest power of two smaller than `length`, which is at least 2. */
function split(length: number): number {
  let left = 1;
  while (left * 2 < length) left *= 2;
  return left;
}

/**
 * The tiles that give the hash of the tile of leaves `index` up to the root of a tree of `size`, for reading ahead: those that
 * {@link TileTree.hashes} will ask for.
 */
export function tilesOnPath(index: number, size: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0, place = index; hashesAtLevel(level, size) > 0; level++) {
    place = Math.floor(place / TILE_WIDTH);
    const tile = tileAt(level, place, size);
    if (tile === undefined) break;
    tiles.push(tile);
    if (tile.width < TILE_WIDTH) break;
  }
  return tiles;
}

defineErrors({
  TILE_ROOT: {
    fault: "peer",
    retry: false,
    next: "Tiles and checkpoint are not of one tree: keep both, and ask whoever runs the log.",
  },
  TILE_HASH: {
    fault: "peer",
    retry: false,
    next: "The tile was changed: keep it, and ask whoever runs the log.",
  },
  TILE_OUTSIDE: { fault: "usage", retry: false, http: 404, next: "Ask for a tile that the tree has." },
  PROOF_RANGE: {
    fault: "usage",
    retry: false,
    http: 404,
    next: "Ask for an entry or a size that the tree has.",
  },
});
