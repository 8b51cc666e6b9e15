/**
 * Tiles (C2SP tlog-tiles): the hashes of a log's tree and its entries as files that never change. A tile of level L holds up to
 * 256 hashes, each of a complete subtree of 256^L leaves; a bundle holds the entries of a tile of level 0. A tile that is not
 * full yet is partial, and its width stands in its name.
 */

import { concat, writeUint } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import { parseDecimal } from "./text.ts";
import { HASH_LENGTH } from "./merkle.ts";

/** Hashes of a full tile; entries of a full bundle. */
export const TILE_WIDTH = 256;
/** Levels of tree that one tile spans. */
export const TILE_HEIGHT = 8;
/** Highest tile level of a tree of up to 2^53 - 1 leaves. */
export const TILE_LEVEL_MAX = 6;
/** Longest entry in bytes: bundles have 16-bit lengths. */
export const ENTRY_LENGTH_MAX = 0xffff;

/** One file: a tile of hashes, or a bundle of entries. */
export interface Tile {
  /** Level of a tile of hashes, or `entries` for a bundle. */
  readonly level: number | "entries";
  /** Index inside its level. */
  readonly index: number;
  /** Hashes or entries in it: 1 to 256, 256 when full. */
  readonly width: number;
}

/** Path of a tile below the log's prefix: `tile/0/x001/x234/067`, `tile/entries/000.p/3`. */
export function tilePath({ level, index, width }: Tile): string {
  let path = String(index % 1000).padStart(3, "0");
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
  }
  return `tile/${level}/${path}${width === TILE_WIDTH ? "" : `.p/${width}`}`;
}

/** Reads a path; it accepts what {@link tilePath} writes, and nothing else. @throws {CodedError} `TILE_PATH`. */
export function parseTilePath(path: string): Tile {
  const parts = /^tile\/([0-9]|entries)\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path);
  if (parts !== null) {
    const level = parts[1] === "entries" ? "entries" : Number(parts[1]);
    const index = parseDecimal(parts[2]!.replaceAll(/[x/]/g, "").replace(/^0+(?=.)/, ""));
    const width = parts[3] === undefined ? TILE_WIDTH : parseDecimal(parts[3]);
    const whole = parts[3] === undefined || (width !== undefined && width >= 1 && width < TILE_WIDTH);
    if (
      index !== undefined && width !== undefined && whole && (level === "entries" || level <= TILE_LEVEL_MAX)
    ) {
      const tile = { level, index, width } as const;
      if (tilePath(tile) === path) return tile;
    }
  }
  throw new CodedError("TILE_PATH", "Cannot read tile path: it is not tile/<level>/<index>[.p/<width>]");
}

/** Complete subtrees of 256^level leaves in a tree of `size`. */
export function hashesAtLevel(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** The tile at an index in a tree of `size`, with the width it has there; undefined when the tree has none. */
export function tileAt(level: number | "entries", index: number, size: number): Tile | undefined {
  const width = hashesAtLevel(level === "entries" ? 0 : level, size) - index * TILE_WIDTH;
  return width < 1 ? undefined : { level, index, width: Math.min(width, TILE_WIDTH) };
}

/** Tile levels of a tree of `size`: 0 for the empty tree. */
export function levelsOf(size: number): number {
  let levels = 0;
  while (hashesAtLevel(levels, size) > 0) levels++;
  return levels;
}

/**
 * The tiles of hashes that a tree of `size` has and one of `from` had not, or had narrower: lowest level first. With `from` 0:
 * all of them.
 */
export function* tilesOf(size: number, from = 0): Generator<Tile & { readonly level: number }> {
  for (let level = 0; level < levelsOf(size); level++) {
    for (const tile of changedAt(level, size, from)) yield { ...tile, level };
  }
}

/** The bundles of entries that a tree of `size` has and one of `from` had not, or had narrower. */
export function* bundlesOf(size: number, from = 0): Generator<Tile> {
  yield* changedAt("entries", size, from);
}

function* changedAt(level: number | "entries", size: number, from: number): Generator<Tile> {
  const height = level === "entries" ? 0 : level;
  const hashes = hashesAtLevel(height, size);
  const before = hashesAtLevel(height, from);
  if (hashes === before) return;
  for (let index = Math.floor(before / TILE_WIDTH); index * TILE_WIDTH < hashes; index++) {
    yield tileAt(level, index, size)!;
  }
}

/** The partial tiles at the right edge of a tree, highest level first: together they give its root. */
export function edgeTiles(size: number): (Tile & { readonly level: number })[] {
  const tiles: (Tile & { readonly level: number })[] = [];
  for (let level = levelsOf(size) - 1; level >= 0; level--) {
    const hashes = hashesAtLevel(level, size);
    const width = hashes % TILE_WIDTH;
    if (width > 0) tiles.push({ level, index: Math.floor(hashes / TILE_WIDTH), width });
  }
  return tiles;
}

/** Takes the hashes out of a tile's bytes. @throws {CodedError} `TILE_LENGTH` unless exactly `width` hashes of 32 bytes. */
export function parseTile(bytes: Uint8Array, width: number): Uint8Array[] {
  if (bytes.length !== width * HASH_LENGTH) {
    throw new CodedError(
      "TILE_LENGTH",
      `Cannot read tile: ${bytes.length} bytes, not ${width * HASH_LENGTH}`,
    );
  }
  return Array.from({ length: width }, (_, i) => bytes.slice(i * HASH_LENGTH, (i + 1) * HASH_LENGTH));
}

/** Bytes of a tile of these hashes, 1 to 256. @throws {CodedError} `TILE_LENGTH`. */
export function formatTile(hashes: readonly Uint8Array[]): Uint8Array {
  if (
    hashes.length < 1 || hashes.length > TILE_WIDTH || hashes.some(({ length }) => length !== HASH_LENGTH)
  ) {
    throw new CodedError("TILE_LENGTH", "Cannot write tile: not 1 to 256 hashes of 32 bytes");
  }
  return concat(...hashes);
}

/**
 * Takes the entries out of a bundle's bytes: each behind its length in 2 bytes, big-endian.
 * @throws {CodedError} `BUNDLE_LENGTH` unless exactly `width` entries fill the bytes.
 */
export function parseBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (offset + 2 > bytes.length) throw bundleLength(width);
    const length = bytes[offset]! * 256 + bytes[offset + 1]!;
    offset += 2;
    if (offset + length > bytes.length || entries.length === width) throw bundleLength(width);
    entries.push(bytes.slice(offset, offset + length));
    offset += length;
  }
  if (entries.length !== width) throw bundleLength(width);
  return entries;
}

function bundleLength(width: number): CodedError {
  return new CodedError("BUNDLE_LENGTH", `Cannot read bundle: it does not hold exactly ${width} entries`);
}

/** Bytes of a bundle of these entries, 1 to 256. @throws {CodedError} `BUNDLE_LENGTH`, `BUNDLE_ENTRY_LENGTH`. */
export function formatBundle(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length < 1 || entries.length > TILE_WIDTH) {
    throw new CodedError("BUNDLE_LENGTH", "Cannot write bundle: not 1 to 256 entries");
  }
  if (entries.some(({ length }) => length > ENTRY_LENGTH_MAX)) {
    throw new CodedError(
      "BUNDLE_ENTRY_LENGTH",
      `Cannot write bundle: an entry over ${ENTRY_LENGTH_MAX} bytes`,
    );
  }
  return concat(...entries.flatMap((entry) => [writeUint(entry.length, 2), entry]));
}

defineErrors({
  TILE_PATH: { fault: "usage", retry: false, http: 404, next: "Give a path as C2SP tlog-tiles writes it." },
  TILE_LENGTH: {
    fault: "peer",
    retry: false,
    next: "The tile was cut or is another one: keep it, and get it again from where the log is published.",
  },
  BUNDLE_LENGTH: {
    fault: "peer",
    retry: false,
    next: "The bundle was cut or is another one: keep it, and get it again from where the log is published.",
  },
  BUNDLE_ENTRY_LENGTH: { fault: "usage", retry: false, next: "An entry has at most 65,535 bytes." },
});
