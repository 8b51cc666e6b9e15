/**
 * A witness that mirrors: before it cosigns, it fetches the files (C2SP tlog-tiles) by which the log grew, checks every hash and
 * every entry against the checkpoint, and stores them. Files that were checked are never overwritten with other content.
 */

import { equal } from "../../base/bytes.ts";
import { CodedError, codeOf, defineErrors } from "../../base/errors.ts";
import { TileTree } from "../proof_from_tiles.ts";
import { bundlesOf, type Tile, tileAt, tilePath, tilesOf } from "../tile.ts";
import type { TreeHead } from "./decision.ts";
import { pathsAround } from "./evidence_tiles.ts";
import { TreeFiles } from "./tree_files.ts";

/** Most files that one request fetches: 4,096 bundles are a million entries. A larger step is taken in several requests. */
export const MIRROR_FILES_MAX = 8192;

/** Where a log publishes its files. */
export interface TileSource {
  /**
   * Content of a file, by its path below the log's prefix.
   * @throws {CodedError} `MIRROR_SOURCE` when it cannot be had now.
   */
  fetch(path: string): Promise<Uint8Array>;
}

/** Where checked files are kept. */
export interface TileStore {
  /** Content, or undefined when it is not kept. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Keeps a file, durably. @throws {CodedError} `MIRROR_STORE`. */
  write(path: string, content: Uint8Array): Promise<void>;
}

/** Files that are not of the signed tree. */
export interface BadTiles {
  readonly why: string;
  /** The files that show it. */
  readonly tiles: readonly { readonly path: string; readonly content: Uint8Array }[];
}

/** Codes that say that a file came, and is wrong. */
const WRONG = new Set(["TILE_ROOT", "TILE_HASH", "TILE_LENGTH", "BUNDLE_LENGTH", "BUNDLE_ENTRIES"]);

/** The mirror of one log. */
export class Mirror {
  readonly #source: TileSource;
  readonly #store: TileStore;

  constructor(source: TileSource, store: TileStore) {
    this.#source = source;
    this.#store = store;
  }

  /**
   * Fetches, checks and stores what a tree has and the one of `from` leaves had not.
   * @returns files that are not of the tree; undefined when all are, and stored.
   * @throws {CodedError} `MIRROR_SOURCE`, `MIRROR_STORE`, `MIRROR_TOO_FAR`.
   */
  async update(head: TreeHead, from: number): Promise<BadTiles | undefined> {
    const read = new Map<string, Uint8Array>();
    const files = new TreeFiles(head, async (tile) => {
      const path = tilePath(tile);
      // What was checked against a cosigned checkpoint is not fetched again. Newer files that an earlier try left are: that
      // try was not cosigned, and its checkpoint is nothing to hold the log to.
      const kept = tileAt(tile.level, tile.index, from)?.width === tile.width;
      const content = (kept ? await this.#store.read(path) : undefined) ?? await this.#source.fetch(path);
      // Bundles are read once and large: only the last one is needed again, as evidence.
      read.delete(lastBundle ?? "");
      if (tile.level === "entries") lastBundle = path;
      read.set(path, content);
      return content;
    });
    let lastBundle: string | undefined;
    let checked = 0;
    for (const tile of newFiles(head.size, from)) {
      if (++checked > MIRROR_FILES_MAX) {
        throw new CodedError(
          "MIRROR_TOO_FAR",
          `Cannot mirror: more than ${MIRROR_FILES_MAX} files in one step`,
        );
      }
      try {
        await files.check(tile);
      } catch (error) {
        if (!WRONG.has(codeOf(error))) throw error;
        const paths = pathsAround(tile, head.size).filter((path) => read.has(path));
        return {
          why: (error as CodedError).message,
          tiles: paths.map((path) => ({ path, content: read.get(path)! })),
        };
      }
      const path = tilePath(tile);
      const content = read.get(path);
      // Nothing is read twice by the tree, so that a tile which it read before, on its way, is in the map as well.
      if (content !== undefined) await this.#store.write(path, content);
    }
    return undefined;
  }

  /**
   * How a smaller signed tree stands to the mirrored one.
   * @returns `same` when it is its beginning; the root that the mirrored tree had at that size, with the proof, when it is not;
   *   undefined when the mirror cannot tell.
   */
  async historyAt(
    small: TreeHead,
    mirrored: TreeHead,
  ): Promise<"same" | { readonly root: Uint8Array; readonly proof: readonly Uint8Array[] } | undefined> {
    if (small.size < 1 || small.size >= mirrored.size) return undefined;
    const tree = new TileTree(mirrored.size, mirrored.root, async (tile) => {
      const content = await this.#store.read(tilePath(tile));
      if (content === undefined) {
        throw new CodedError("MIRROR_STORE", "Cannot read mirror: a file is missing");
      }
      return content;
    });
    try {
      const root = await tree.rootAt(small.size);
      return equal(root, small.root) ? "same" : { root, proof: await tree.consistencyProof(small.size) };
    } catch (error) {
      if (error instanceof CodedError) return undefined;
      throw error;
    }
  }
}

function* newFiles(size: number, from: number): Generator<Tile> {
  yield* tilesOf(size, from);
  yield* bundlesOf(size, from);
}

defineErrors({
  MIRROR_SOURCE: {
    fault: "peer",
    retry: true,
    http: 503,
    next:
      "The log's files cannot be fetched: check its address, and that it publishes files before it asks for cosignatures.",
  },
  MIRROR_STORE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Check that the mirror's folder is on a healthy local disk with room.",
  },
  MIRROR_TOO_FAR: {
    fault: "peer",
    retry: false,
    http: 503,
    next: "Send smaller checkpoints of the log first, so that the mirror catches up step by step.",
  },
});
