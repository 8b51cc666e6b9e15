/**
 * A log published as files, laid out as C2SP tlog-tiles serves them. A file appears whole or not at all: it is written beside,
 * synced, renamed, and its folder synced.
 */

import { dirname } from "node:path";
import { equal } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import type { TileStore, WritePoint } from "./tile_store.ts";
import type { TileFile } from "./tree_edge.ts";
import "./tile_store.ts";

/** Tiles that are written at once: enough for the disk to gather its syncs. */
const WRITES_AT_ONCE = 16;
/** Folder for files that are not whole yet. */
const UNFINISHED = ".unfinished";
/** Folder of records of what was found wrong. */
const EVIDENCE = "evidence";
/** Name of the checkpoint (C2SP tlog-tiles). */
const CHECKPOINT = "checkpoint";

/** How to open a folder. */
export interface FileTileStoreOptions {
  /** Folder of the log; made when it is missing. What a web server may show of it is `checkpoint` and `tile/`. */
  readonly directory: string;
  /** Called behind each write, for tests that end the process there. */
  readonly onWrite?: (point: WritePoint) => void;
}

/** Opens a folder, making it when it is missing. @throws {CodedError} `LOG_TILE_STORAGE`. */
export async function openFileTileStore(options: FileTileStoreOptions): Promise<TileStore> {
  const store = new FileTileStore(options);
  await store.open();
  return store;
}

class FileTileStore implements TileStore {
  readonly #directory: string;
  readonly #onWrite: (point: WritePoint) => void;
  /** Folders that are known to be there, durably. */
  readonly #folders = new Set<string>();
  #unfinished = 0;

  constructor(options: FileTileStoreOptions) {
    this.#directory = options.directory.replace(/\/+$/, "");
    this.#onWrite = options.onWrite ?? (() => {});
  }

  async open(): Promise<void> {
    await storing("open the folder", async () => {
      await Deno.mkdir(`${this.#directory}/${UNFINISHED}`, { recursive: true, mode: 0o755 });
      await syncFolder(this.#directory);
    });
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await Deno.readFile(`${this.#directory}/${path}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
        return undefined;
      }
      throw storageError(`read ${path}`, error);
    }
  }

  async putTiles(files: readonly TileFile[]): Promise<void> {
    const folders = new Set<string>();
    for (let i = 0; i < files.length; i += WRITES_AT_ONCE) {
      const some = files.slice(i, i + WRITES_AT_ONCE);
      // Every write ends before the first failure is told: nothing goes on behind the caller's back.
      const results = await Promise.allSettled(some.map((file) => this.#putTile(file, folders)));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    }
    await storing("sync folders", async () => {
      for (const folder of folders) {
        await syncFolder(folder);
        this.#folders.add(folder);
        this.#onWrite("folder-synced");
      }
    });
  }

  async #putTile({ path, bytes }: TileFile, folders: Set<string>): Promise<void> {
    const there = await this.read(path);
    if (there !== undefined) {
      if (!equal(there, bytes)) {
        throw new CodedError("LOG_TILE_CONFLICT", `Cannot write ${path}: it is there with other bytes`, {
          path,
        });
      }
      // Whether the process that wrote it lived to sync the folder is not known.
      this.#collectFolders(path, folders);
      return;
    }
    await storing(`write ${path}`, async () => {
      await Deno.mkdir(dirname(`${this.#directory}/${path}`), { recursive: true, mode: 0o755 });
      this.#collectFolders(path, folders);
      const unfinished = await this.#writeUnfinished(bytes, "tile");
      await Deno.rename(unfinished, `${this.#directory}/${path}`);
      this.#onWrite("tile-renamed");
    });
  }

  /** The folder of a file, and above each folder that is new the one that holds its name, deepest first. */
  #collectFolders(path: string, folders: Set<string>): void {
    let folder = dirname(`${this.#directory}/${path}`);
    folders.add(folder);
    while (!this.#folders.has(folder) && folder.length > this.#directory.length) {
      folder = dirname(folder);
      folders.add(folder);
    }
  }

  /** A synced file under a name that nobody else uses; when the disk is full, nothing of it stays. */
  async #writeUnfinished(bytes: Uint8Array, what: "tile" | "checkpoint"): Promise<string> {
    const path = `${this.#directory}/${UNFINISHED}/${Deno.pid}-${crypto.randomUUID()}-${this.#unfinished++}`;
    try {
      using file = await Deno.open(path, { createNew: true, write: true, mode: 0o644 });
      for (let offset = 0; offset < bytes.length;) offset += await file.write(bytes.subarray(offset));
      this.#onWrite(`${what}-written`);
      await file.sync();
      this.#onWrite(`${what}-synced`);
    } catch (error) {
      await Deno.remove(path).catch(() => {});
      throw error;
    }
    return path;
  }

  checkpoint(): Promise<Uint8Array | undefined> {
    return this.read(CHECKPOINT);
  }

  async publish(checkpoint: Uint8Array, sizeOf: (checkpoint: Uint8Array) => number): Promise<boolean> {
    return await storing("publish the checkpoint", async () => {
      // A leader that was stopped between looking and renaming would otherwise show an older checkpoint when it goes on.
      using lock = await Deno.open(`${this.#directory}/${UNFINISHED}/lock`, {
        create: true,
        write: true,
        mode: 0o600,
      });
      await lock.lock(true);
      try {
        const shown = await this.checkpoint();
        if (shown !== undefined && equal(shown, checkpoint)) {
          await syncFolder(this.#directory);
          return true;
        }
        if (shown !== undefined && sizeOf(shown) > sizeOf(checkpoint)) return false;
        const unfinished = await this.#writeUnfinished(checkpoint, "checkpoint");
        await Deno.rename(unfinished, `${this.#directory}/${CHECKPOINT}`);
        this.#onWrite("checkpoint-renamed");
        await syncFolder(this.#directory);
        this.#onWrite("checkpoint-durable");
        return true;
      } finally {
        await lock.unlock();
      }
    });
  }

  async removePartial(full: readonly TileFile[]): Promise<void> {
    for (const { path } of full) {
      try {
        await Deno.remove(`${this.#directory}/${path}.p`, { recursive: true });
        this.#folders.delete(`${this.#directory}/${path}.p`);
        this.#onWrite("partial-removed");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw storageError(`remove ${path}.p`, error);
      }
    }
  }

  async keepEvidence(name: string, text: string): Promise<string> {
    const path = `${this.#directory}/${EVIDENCE}/${name}`;
    await storing("keep evidence", async () => {
      await Deno.mkdir(`${this.#directory}/${EVIDENCE}`, { recursive: true, mode: 0o700 });
      await Deno.writeTextFile(path, text, { createNew: true, mode: 0o600 }).catch(async (error) => {
        await Deno.remove(path).catch(() => {}); // half a record would be taken for a whole one
        throw error;
      });
    });
    return path;
  }
}

async function syncFolder(folder: string): Promise<void> {
  using opened = await Deno.open(folder, { read: true });
  await opened.sync();
}

async function storing<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageError(action, error);
  }
}

function storageError(action: string, error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  // The name and the system's code tell what it is; the message would hold the machine's paths.
  const code = (error as { code?: unknown }).code;
  const reason = typeof code === "string" ? code : error instanceof Error ? error.name : "unknown";
  return new CodedError("LOG_TILE_STORAGE", `Cannot ${action}: ${reason}`, { reason }, error);
}
