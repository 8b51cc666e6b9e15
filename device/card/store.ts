/**
 * Where a card's memory is kept. A save is over when the bytes are on the disk under their final name, so that
 * an answer never tells of a state that a crash could take back.
 */

import { CodedError } from "shared/base/errors.ts";
import { type CardState, decodeCardState, encodeCardState } from "./state.ts";
import "./errors.ts";

/** Memory of one card. */
export interface CardStore {
  /** The stored state, or undefined when there is none yet. */
  load(): CardState | undefined;
  /** Replaces the state, all or nothing. */
  save(state: CardState): void;
  /** Lets the memory go. */
  close(): void;
}

/** A store that dies with the process; for tests and in-process cards. */
export function memoryStore(): CardStore {
  let text: string | undefined;
  return {
    load: () => text === undefined ? undefined : decodeCardState(text),
    save: (state) => {
      text = encodeCardState(state);
    },
    close: () => {},
  };
}

/** Moments of a save at which power can fail, in order. */
export const SAVE_STAGES = ["created", "half-written", "written", "synced", "renamed", "saved"] as const;
/** One of `SAVE_STAGES`. */
export type SaveStage = (typeof SAVE_STAGES)[number];

/** How a file store is opened. */
export interface FileStoreOptions {
  /** Told of each moment of a save; what it throws cuts the save there, as a loss of power would. For tests. */
  readonly onStage?: (stage: SaveStage) => void;
}

/**
 * A store in one file of mode 0600. `save` writes a temporary file beside it, syncs it, renames it and syncs the
 * folder. The calls are synchronous on purpose: they take half a millisecond, less than their way through the
 * asynchronous queue. A lock file keeps a second process from writing the same card; the kernel drops it when
 * the process ends, however it ends.
 * @throws {CodedError} `VCARD_STATE_LOCKED`.
 */
export function fileStore(path: string, { onStage = () => {} }: FileStoreOptions = {}): CardStore {
  const folder = folderOf(path);
  const temporary = `${path}.new`;
  const lock = Deno.openSync(`${path}.lock`, { write: true, create: true, mode: 0o600 });
  if (!lock.tryLockSync(true)) {
    lock.close();
    throw new CodedError("VCARD_STATE_LOCKED", `Cannot open card ${path}: another process holds it`, {
      path,
    });
  }
  return {
    load() {
      // What a cut save left: it holds keys and was never the card's memory.
      removeIfThere(temporary);
      let text: string;
      try {
        text = Deno.readTextFileSync(path);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw new CodedError("VCARD_STATE_UNREADABLE", `Cannot read card state ${path}`, { path }, error);
      }
      return decodeCardState(text);
    },
    save(state) {
      const content = new TextEncoder().encode(encodeCardState(state));
      const file = Deno.openSync(temporary, { write: true, create: true, truncate: true, mode: 0o600 });
      try {
        onStage("created");
        const half = content.length >> 1;
        writeAll(file, content.subarray(0, half));
        onStage("half-written");
        writeAll(file, content.subarray(half));
        onStage("written");
        file.syncSync();
        onStage("synced");
      } finally {
        file.close();
        content.fill(0);
      }
      Deno.renameSync(temporary, path);
      onStage("renamed");
      const directory = Deno.openSync(folder, { read: true });
      try {
        directory.syncSync();
      } finally {
        directory.close();
      }
      onStage("saved");
    },
    close: () => lock.close(),
  };
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}
