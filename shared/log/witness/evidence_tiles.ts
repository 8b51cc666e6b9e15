/** Evidence of kind `tiles`: files that a log served and that are not those of the tree that it signed. */

import { fromStrictBase64 } from "../../base/base64.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { edgeTiles, parseTilePath, type Tile, tileAt, tilePath } from "../tile.ts";
import type { TreeHead } from "./decision.ts";
import { TreeFiles } from "./tree_files.ts";

/** One file of the evidence. */
export interface EvidenceTile {
  /** Path below the log's prefix, as C2SP tlog-tiles writes it. */
  readonly path: string;
  /** Content, Base64. */
  readonly content: string;
}

/** What files show. */
export interface TilesJudgement {
  /** Whether one of them is not of the tree. */
  readonly shown: boolean;
  /** Plain words, one sentence each. */
  readonly words: readonly string[];
}

/** Paths of the files that show whether one file is of a tree: itself, those above it, and the right edge. */
export function pathsAround(tile: Tile, size: number): string[] {
  const paths = new Set(edgeTiles(size).map(tilePath));
  paths.add(tilePath(tile));
  let index = tile.index;
  for (let level = tile.level === "entries" ? 0 : tile.level;; level++) {
    const above = tileAt(level, index, size);
    if (above === undefined) return [...paths];
    paths.add(tilePath(above));
    index = Math.floor(index / 256);
  }
}

/** Checks files against a signed tree. */
export async function judgeTiles(tiles: readonly EvidenceTile[], head: TreeHead): Promise<TilesJudgement> {
  const contents = new Map(tiles.map(({ path, content }) => [path, fromStrictBase64(content)]));
  let missing: string | undefined;
  const files = new TreeFiles(head, (tile) => {
    const content = contents.get(tilePath(tile));
    if (content === undefined) {
      missing = tilePath(tile);
      throw new CodedError("EVIDENCE_INCOMPLETE", `Cannot judge evidence: it lacks ${missing}`);
    }
    return Promise.resolve(content);
  });
  for (const { path } of tiles) {
    try {
      await files.check(parseTilePath(path));
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      if (missing !== undefined) {
        return { shown: false, words: [`The file lacks ${missing}, without which nothing is shown.`] };
      }
      return {
        shown: true,
        words: [
          `The log signed a tree of ${head.size} entries; ${path} as it stands in this file is not of that tree: ${error.message}.`,
          "That does not prove a fault of the log to others: files are not signed, and whoever stands between could have changed this one.",
          "The log can clear itself: fetch the file again. As long as it is served so, nobody can verify the log.",
        ],
      };
    }
  }
  return { shown: false, words: ["Every file in it is of the tree that was signed: nothing contradicts."] };
}

defineErrors({
  EVIDENCE_INCOMPLETE: {
    fault: "peer",
    retry: false,
    next: "Ask whoever gave the file for the one that the witness kept.",
  },
});
