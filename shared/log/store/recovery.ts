/**
 * What a new leader must believe before it goes on: the database, the tiles and the checkpoint that the world has seen are one
 * log, none of them older than it may be. What does not fit is told, never repaired.
 */

import { equal } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { type Checkpoint, parseCheckpoint } from "../checkpoint.ts";
import { type NoteVerifier, parseNote, verifyNote } from "../note.ts";
import { TileTree } from "../proof_from_tiles.ts";
import {
  edgeTiles,
  hashesAtLevel,
  levelsOf,
  parseBundle,
  parseTile,
  TILE_WIDTH,
  tileAt,
  tilePath,
} from "../tile.ts";
import type { Sequence, SequenceHead } from "./sequence.ts";
import type { TileStore } from "./tile_store.ts";
import { TreeEdge } from "./tree_edge.ts";
import "./sequence.ts";

/** Entries that are read from the sequence at once. */
const ENTRIES_AT_ONCE = 4096;

/** What a leader compares. Sizes that are not known are 0. */
export interface Sightings {
  /** The sequence's last signed checkpoint. */
  readonly signed?: Checkpoint;
  /** The checkpoint that readers see. */
  readonly shown?: Checkpoint;
  /** The greatest size that a witness has cosigned. */
  readonly witnessedSize: number;
}

/** Reads a checkpoint of one's own. @throws {CodedError} `LOG_CHECKPOINT_FOREIGN` when it is not signed by the log's key. */
export function readOwnCheckpoint(
  bytes: Uint8Array,
  origin: string,
  verifiers: readonly NoteVerifier[],
): Checkpoint {
  try {
    const note = parseNote(bytes);
    verifyNote(note, verifiers);
    const checkpoint = parseCheckpoint(note.text);
    if (checkpoint.origin === origin) return checkpoint;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
  }
  throw new CodedError(
    "LOG_CHECKPOINT_FOREIGN",
    "Cannot go on: the checkpoint is not one that this log signed",
  );
}

/**
 * Refuses a database that is behind what was published, and two roots of one size.
 * @throws {CodedError} `LOG_ROLLED_BACK`, `LOG_FORKED`.
 */
export function requireNewest({ signed, shown, witnessedSize }: Sightings): void {
  const signedSize = signed?.size ?? 0;
  // A checkpoint is kept in the database before anybody sees it: a larger one elsewhere means that the database forgot.
  for (
    const [where, size] of [["the published checkpoint", shown?.size ?? 0], [
      "a witness",
      witnessedSize,
    ]] as const
  ) {
    if (size > signedSize) {
      throw new CodedError(
        "LOG_ROLLED_BACK",
        `Cannot go on: ${where} has size ${size}, the database ${signedSize}`,
        { publishedSize: size, databaseSize: signedSize },
      );
    }
  }
  if (signed !== undefined && shown?.size === signed.size && !equal(shown.root, signed.root)) {
    throw forked(signed.size);
  }
}

function forked(size: number): CodedError {
  return new CodedError("LOG_FORKED", `Cannot go on: there are two roots of size ${size}`, { size });
}

/** What a leader goes on from. */
export interface Recovered {
  /** At the size of the last signed checkpoint. */
  readonly edge: TreeEdge;
  /** Entries that have an index and are in no signed checkpoint yet; with them the tree has the head's root. */
  readonly unsigned: readonly Uint8Array[];
  /** The last signed entries, up to a bundle. */
  readonly recent: readonly Uint8Array[];
  /** Whether readers still see an older checkpoint than the last signed one. */
  readonly behind: boolean;
}

/**
 * Checks everything, and reads the right edge of the tree.
 * @throws {CodedError} `LOG_ROLLED_BACK`, `LOG_FORKED`, `LOG_TILES_DAMAGED`, `LOG_DATABASE_DAMAGED`, `LOG_CHECKPOINT_FOREIGN`;
 *   those of the storage.
 */
export async function recover(
  head: SequenceHead,
  sequence: Sequence,
  tiles: TileStore,
  verifiers: readonly NoteVerifier[],
  witnessedSize: number,
): Promise<Recovered> {
  const own = (bytes: Uint8Array | undefined) =>
    bytes === undefined ? undefined : readOwnCheckpoint(bytes, head.origin, verifiers);
  const signed = own(head.checkpoint);
  const shown = own(await tiles.checkpoint());
  if ((signed?.size ?? 0) !== head.signedSize) {
    throw databaseDamaged("its checkpoint has another size than its head");
  }
  requireNewest({ ...(signed ? { signed } : {}), ...(shown ? { shown } : {}), witnessedSize });

  const edge = await readEdge(head.signedSize, tiles);
  let recent: readonly Uint8Array[] = [];
  if (signed !== undefined) {
    if (!equal(edge.root(), signed.root)) {
      throw tilesDamaged(`the last tiles do not give the root of size ${signed.size}`);
    }
    await requireBeginning(signed, shown, tiles);
    recent = await requireSameEntries(edge, sequence, tiles);
  }
  const unsigned: Uint8Array[] = [];
  for (let start = head.signedSize; start < head.size; start += ENTRIES_AT_ONCE) {
    unsigned.push(...await sequence.entries(start, Math.min(head.size, start + ENTRIES_AT_ONCE)));
  }
  const grown = edge.clone();
  grown.append(unsigned);
  if (!equal(grown.root(), head.root)) {
    throw databaseDamaged(`its entries do not give the root of size ${head.size}`);
  }
  return { edge, unsigned, recent, behind: (shown?.size ?? -1) < (signed?.size ?? -1) };
}

/** Whether what readers have seen is the beginning of what was signed. */
async function requireBeginning(
  signed: Checkpoint,
  shown: Checkpoint | undefined,
  tiles: TileStore,
): Promise<void> {
  if (shown === undefined || shown.size === 0 || shown.size === signed.size) return;
  const tree = new TileTree(signed.size, signed.root, (tile) => requireTile(tilePath(tile), tiles));
  if (!equal(await tree.rootAt(shown.size), shown.root)) throw forked(shown.size);
}

/** Whether the database and the last bundle hold the same entries. */
async function requireSameEntries(
  edge: TreeEdge,
  sequence: Sequence,
  tiles: TileStore,
): Promise<readonly Uint8Array[]> {
  if (edge.size === 0) return [];
  const index = Math.floor((edge.size - 1) / TILE_WIDTH);
  const bundle = tileAt("entries", index, edge.size)!;
  const start = index * TILE_WIDTH;
  const published = parseBundle(await requireTile(tilePath(bundle), tiles), bundle.width);
  const kept = await sequence.entries(start, edge.size);
  if (!published.every((entry, i) => equal(entry, kept[i]!))) {
    throw databaseDamaged(`an entry from ${start} to ${edge.size} is another one than the published`);
  }
  return kept;
}

async function readEdge(size: number, tiles: TileStore): Promise<TreeEdge> {
  const levels: Uint8Array[][] = Array.from({ length: levelsOf(size) }, () => []);
  for (const tile of edgeTiles(size)) {
    levels[tile.level] = parse(
      tilePath(tile),
      () => parseTile,
      await requireTile(tilePath(tile), tiles),
      tile.width,
    );
  }
  const width = hashesAtLevel(0, size) % TILE_WIDTH;
  if (width === 0) return new TreeEdge(size, levels);
  const path = tilePath({ level: "entries", index: Math.floor(size / TILE_WIDTH), width });
  return new TreeEdge(size, levels, parse(path, () => parseBundle, await requireTile(path, tiles), width));
}

function parse(
  path: string,
  parser: () => (bytes: Uint8Array, width: number) => Uint8Array[],
  bytes: Uint8Array,
  width: number,
): Uint8Array[] {
  try {
    return parser()(bytes, width);
  } catch {
    throw tilesDamaged(`${path} was cut or changed`);
  }
}

async function requireTile(path: string, tiles: TileStore): Promise<Uint8Array> {
  const bytes = await tiles.read(path);
  if (bytes === undefined) throw tilesDamaged(`${path} is gone`);
  return bytes;
}

function tilesDamaged(what: string): CodedError {
  return new CodedError("LOG_TILES_DAMAGED", `Cannot go on: ${what}`);
}

function databaseDamaged(what: string): CodedError {
  return new CodedError("LOG_DATABASE_DAMAGED", `Cannot go on: in the database ${what}`);
}

defineErrors({
  LOG_FORKED: {
    fault: "service",
    retry: false,
    http: 503,
    next: "The log has two histories: stop every instance, keep the evidence file and tell the witnesses.",
  },
  LOG_TILES_DAMAGED: {
    fault: "service",
    retry: false,
    http: 503,
    next:
      "Published tiles were changed or lost: keep the folder, take a mirror's tiles and compare them with the last checkpoint.",
  },
  LOG_DATABASE_DAMAGED: {
    fault: "service",
    retry: false,
    http: 503,
    next: "Entries in the database were changed: keep it, and restore the newest backup beside it.",
  },
  LOG_CHECKPOINT_FOREIGN: {
    fault: "configuration",
    retry: false,
    http: 503,
    next:
      "Check the origin, the log's key and its folder; a checkpoint under a foreign key may be forged: keep it.",
  },
});
