/** Where a wallet's file is kept: whole or not at all, mode 0600, one process at a time. */

import { CodedError } from "shared/base/errors.ts";
import { parseWalletFile, WALLET_FILE_MAX_BYTES, type WalletFile } from "./wallet_file.ts";

/** Memory of one wallet. */
export interface WalletStore {
  /** Name for people. */
  readonly path: string;
  /** The file, or undefined when there is none. @throws {CodedError} `WALLET_STATE`. */
  load(): WalletFile | undefined;
  /** Replaces it, all or nothing. @throws {CodedError} `WALLET_WRITE`. */
  save(file: WalletFile): void;
  /** Forgets it. @throws {CodedError} `WALLET_WRITE`. */
  erase(): void;
  /** Lets it go. */
  close(): void;
}

/**
 * Opens the store of a path and holds it until `close`, or until the process ends.
 * @throws {CodedError} `WALLET_STATE_BUSY`, `WALLET_WRITE`.
 */
export function fileWalletStore(path: string): WalletStore {
  const lock = guard(path, () => Deno.openSync(`${path}.lock`, { write: true, create: true, mode: 0o600 }));
  if (!lock.tryLockSync(true)) {
    lock.close();
    throw new CodedError("WALLET_STATE_BUSY", `Cannot open wallet ${path}: another process holds it`, {
      path,
    });
  }
  return {
    path,
    load() {
      let size: number;
      try {
        const { mode, size: bytes } = Deno.statSync(path);
        if (mode !== null && (mode & 0o077) !== 0) {
          throw new CodedError(
            "WALLET_STATE",
            `Cannot use wallet ${path}: others than its owner have access`,
            {
              path,
            },
          );
        }
        size = bytes;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
      return parseWalletFile(size > WALLET_FILE_MAX_BYTES ? "" : Deno.readTextFileSync(path), path);
    },
    save(file) {
      guard(path, () => {
        const content = new TextEncoder().encode(JSON.stringify(file, undefined, 2) + "\n");
        const temporary = `${path}.new`;
        // A left-over of a crash may be there with other rights.
        removeIfThere(temporary);
        const opened = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o600 });
        try {
          for (let written = 0; written < content.length;) {
            written += opened.writeSync(content.subarray(written));
          }
          opened.syncSync();
        } finally {
          opened.close();
        }
        Deno.renameSync(temporary, path);
        syncFolder(path);
      });
    },
    erase() {
      guard(path, () => {
        removeIfThere(`${path}.new`);
        removeIfThere(path);
        syncFolder(path);
      });
    },
    close: () => lock.close(),
  };
}

/** A store that dies with the process. */
export function memoryWalletStore(): WalletStore {
  let text: string | undefined;
  return {
    path: "memory",
    load: () => text === undefined ? undefined : parseWalletFile(text, "memory"),
    save: (file) => {
      text = JSON.stringify(file);
    },
    erase: () => {
      text = undefined;
    },
    close: () => {},
  };
}

function guard<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new CodedError(
      "WALLET_WRITE",
      `Cannot write wallet ${path}: ${error instanceof Error ? error.name : "the system refuses"}`,
      { path },
    );
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function syncFolder(path: string): void {
  const slash = path.lastIndexOf("/");
  using folder = Deno.openSync(slash < 0 ? "." : path.slice(0, slash) || "/", { read: true });
  folder.syncSync();
}
