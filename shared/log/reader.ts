/**
 * Reads a log from its files: the checkpoint by the reader's policy, every tile against the checkpoint's root, every entry against
 * the tile of its hash. What is wrong is reported by its code and left as it is.
 */

import { equal } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import { leafHash } from "./merkle.ts";
import { NOTE_BYTES_MAX } from "./note.ts";
import { TileTree } from "./proof_from_tiles.ts";
import { type CheckpointPolicy, openCheckpoint, type TrustedCheckpoint } from "./signed_checkpoint.ts";
import { CHECKPOINT_PATH, type LogSource } from "./source.ts";
import { ENTRY_LENGTH_MAX, parseBundle, type Tile, TILE_WIDTH, tileAt, tilePath } from "./tile.ts";
import { HASH_LENGTH } from "./merkle.ts";
import { formatTlogProof } from "./tlog_proof.ts";

/** Longest tile in bytes. */
const TILE_BYTES_MAX = TILE_WIDTH * HASH_LENGTH;
/** Longest bundle in bytes. */
const BUNDLE_BYTES_MAX = TILE_WIDTH * (ENTRY_LENGTH_MAX + 2);

/** An entry whose hash is the tree's. */
export interface LogEntry {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** A log at one checkpoint. */
export class LogReader {
  readonly tree: TileTree;

  private constructor(
    readonly source: LogSource,
    readonly checkpoint: TrustedCheckpoint,
    /** The checkpoint note as it was read. */
    readonly checkpointBytes: Uint8Array,
  ) {
    this.tree = new TileTree(checkpoint.size, checkpoint.root, (tile) => this.readTile(tile));
  }

  /**
   * Reads the log's newest checkpoint.
   * @throws {CodedError} `LOG_CHECKPOINT_MISSING`, `LOG_SOURCE_*`; what openCheckpoint throws.
   */
  static async open(source: LogSource, policy: CheckpointPolicy): Promise<LogReader> {
    const bytes = await source.read(CHECKPOINT_PATH, NOTE_BYTES_MAX);
    if (bytes === undefined) {
      throw new CodedError("LOG_CHECKPOINT_MISSING", `Cannot read log: ${source.name} has no checkpoint`);
    }
    return new LogReader(source, openCheckpoint(bytes, policy), bytes);
  }

  /**
   * The bytes of a tile or bundle as the source has them. Where the partial one is gone, its part of the full one serves.
   * @throws {CodedError} `LOG_TILE_MISSING`, `LOG_SOURCE_*`.
   */
  async readTile(tile: Tile): Promise<Uint8Array> {
    const max = tile.level === "entries" ? BUNDLE_BYTES_MAX : TILE_BYTES_MAX;
    const bytes = await this.source.read(tilePath(tile), max);
    if (bytes !== undefined) return bytes;
    const full = tile.width === TILE_WIDTH
      ? undefined
      : await this.source.read(tilePath({ ...tile, width: TILE_WIDTH }), max);
    if (full === undefined) {
      throw new CodedError(
        "LOG_TILE_MISSING",
        `Cannot read ${tilePath(tile)}: ${this.source.name} has none`,
        {
          tile: tilePath(tile),
        },
      );
    }
    return tile.level === "entries"
      ? firstEntries(full, tile.width)
      : full.subarray(0, tile.width * HASH_LENGTH);
  }

  /**
   * The entries of one bundle, each compared with the tree.
   * @throws {CodedError} `LOG_ENTRY_HASH`, `LOG_TILE_MISSING`, `BUNDLE_LENGTH`, `TILE_*`, `LOG_SOURCE_*`.
   */
  async bundle(index: number): Promise<LogEntry[]> {
    const tile = tileAt("entries", index, this.checkpoint.size);
    if (tile === undefined) {
      throw new CodedError("TILE_OUTSIDE", `Cannot read bundle ${index}: the log has none`);
    }
    const hashes = await this.tree.hashes(0, index);
    const entries = parseBundle(await this.readTile(tile), tile.width);
    return entries.map((bytes, place) => {
      const entry = { index: index * TILE_WIDTH + place, bytes };
      if (!equal(leafHash(bytes), hashes[place]!)) {
        throw new CodedError(
          "LOG_ENTRY_HASH",
          `Cannot trust entry ${entry.index}: its hash is not the tree's`,
          {
            tile: tilePath(tile),
            entry: entry.index,
          },
        );
      }
      return entry;
    });
  }

  /** The entries from one index to before another, in order. @throws {CodedError} as {@link bundle}. */
  async *entries(from: number, to: number): AsyncGenerator<LogEntry> {
    const end = Math.min(to, this.checkpoint.size);
    for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < end; index++) {
      for (const entry of await this.bundle(index)) {
        if (entry.index >= from && entry.index < end) yield entry;
      }
    }
  }

  /** One entry. @throws {CodedError} `PROOF_RANGE`; as {@link bundle}. */
  async entry(index: number): Promise<LogEntry> {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.checkpoint.size) {
      throw new CodedError("PROOF_RANGE", `Cannot read entry ${index}: the log has ${this.checkpoint.size}`);
    }
    return (await this.bundle(Math.floor(index / TILE_WIDTH)))[index % TILE_WIDTH]!;
  }

  /** A proof file for an entry, with the entry itself as extra data (C2SP tlog-proof). @throws {CodedError} as {@link entry}. */
  async prove(index: number): Promise<Uint8Array> {
    const { bytes } = await this.entry(index);
    const hashes = await this.tree.inclusionProof(index);
    return formatTlogProof({ extra: bytes, index, hashes, checkpoint: this.checkpointBytes });
  }

  /**
   * Compares with a checkpoint of the same log that was trusted before.
   * @throws {CodedError} `LOG_ROLLBACK` when the log is smaller now, `LOG_FORK` when one size has two roots, `LOG_INCONSISTENT`
   * when the log does not begin with the one seen before; `TILE_*`, `LOG_TILE_MISSING`, `LOG_SOURCE_*`.
   */
  async compareWith(seen: { readonly size: number; readonly root: Uint8Array }): Promise<void> {
    const { size, root } = this.checkpoint;
    if (size < seen.size) {
      throw new CodedError("LOG_ROLLBACK", `Cannot trust log: it has ${size} entries and had ${seen.size}`);
    }
    if (size === seen.size) {
      if (equal(root, seen.root)) return;
      throw new CodedError("LOG_FORK", `Cannot trust log: there are two trees of ${size} entries`);
    }
    if (!equal(await this.tree.rootAt(seen.size), seen.root)) {
      throw new CodedError(
        "LOG_INCONSISTENT",
        `Cannot trust log: its first ${seen.size} entries are not those that it had`,
      );
    }
  }
}

/** The first entries of a full bundle, as bytes of a partial one. */
function firstEntries(full: Uint8Array, width: number): Uint8Array {
  let end = 0;
  for (let i = 0; i < width; i++) {
    if (end + 2 > full.length) throw new CodedError("BUNDLE_LENGTH", "Cannot read bundle: it was cut");
    end += 2 + full[end]! * 256 + full[end + 1]!;
  }
  return full.subarray(0, end);
}

defineErrors({
  LOG_CHECKPOINT_MISSING: {
    fault: "usage",
    retry: false,
    next: "Give the folder or address that has the file `checkpoint` and the folder `tile`.",
  },
  LOG_TILE_MISSING: {
    fault: "peer",
    retry: true,
    next: "The log withholds or has lost a part: get the whole folder, and ask whoever runs the log.",
  },
  LOG_ENTRY_HASH: {
    fault: "peer",
    retry: false,
    next: "The entry was changed or moved: keep the file, and ask whoever runs the log.",
  },
  LOG_ROLLBACK: {
    fault: "peer",
    retry: false,
    next: "The log was set back, or an old copy is served: keep both checkpoints, and ask whoever runs it.",
  },
  LOG_FORK: {
    fault: "peer",
    retry: false,
    next: "Both checkpoints together prove that the log tells two stories: keep them, and alarm.",
  },
  LOG_INCONSISTENT: {
    fault: "peer",
    retry: false,
    next: "Both checkpoints together prove that the log was rewritten: keep them, and alarm.",
  },
});
