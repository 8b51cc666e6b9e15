/**
 * Port to where a log is published: tiles that never change, and one checkpoint that only grows. Small enough for an object store
 * (conditional writes) behind it; the adapter here is file_tile_store.ts.
 */

import { defineErrors } from "../../base/errors.ts";
import type { TileFile } from "./tree_edge.ts";

/** Names of the writes of an adapter, as its observer sees them. */
export type WritePoint =
  | "tile-written"
  | "tile-synced"
  | "tile-renamed"
  | "folder-synced"
  | "checkpoint-written"
  | "checkpoint-synced"
  | "checkpoint-renamed"
  | "checkpoint-durable"
  | "partial-removed";

/** Where a log is published. */
export interface TileStore {
  /** The bytes at a path below the log, or undefined. */
  read(path: string): Promise<Uint8Array | undefined>;
  /**
   * Writes tiles; all are durable when this resolves. One that is there with the same bytes is left as it is.
   * @throws {CodedError} `LOG_TILE_CONFLICT` when one is there with other bytes: it is never written over; `LOG_TILE_STORAGE`
   *   when the place is full or does not take it: some may have been written, whole.
   */
  putTiles(files: readonly TileFile[]): Promise<void>;
  /** The checkpoint that readers see, or undefined before the first. */
  checkpoint(): Promise<Uint8Array | undefined>;
  /**
   * Shows a checkpoint, unless a larger one is shown already.
   * @param sizeOf size of a checkpoint.
   * @returns whether it is the one that is shown now.
   * @throws {CodedError} `LOG_TILE_STORAGE`.
   */
  publish(checkpoint: Uint8Array, sizeOf: (checkpoint: Uint8Array) => number): Promise<boolean>;
  /** Removes partial tiles of which the full one is there; readers take the full one. */
  removePartial(full: readonly TileFile[]): Promise<void>;
  /** Keeps a record of what was found wrong, beside the log, under a name of its own. @returns where it is. */
  keepEvidence(name: string, text: string): Promise<string>;
}

defineErrors({
  LOG_TILE_CONFLICT: {
    fault: "service",
    retry: false,
    http: 503,
    next:
      "A published tile has other bytes than the log's entries give: it was changed, or the log forked. Keep the folder as it is, compare with a mirror, and look at the evidence file.",
  },
  LOG_TILE_STORAGE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Make room on the disk of the log's folder, or repair it; entries wait in the database until then.",
  },
});
