/** Where a wallet's file is kept: whole or not at all, mode 0600, one process at a time. */

import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { eraseFile, lockFile, lookAtFile, replaceFile } from "shared/transport/durable_file.ts";
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
  const lock = guard(path, () => lockFile(path));
  if (lock === undefined) {
    throw new CodedError("WALLET_STATE_BUSY", `Cannot open wallet ${path}: another process holds it`, {
      path,
    });
  }
  return {
    path,
    load() {
      const file = lookAtFile(path);
      if (file === undefined) return undefined;
      if (file.open) {
        throw new CodedError(
          "WALLET_STATE",
          `Cannot use wallet ${path}: others than its owner have access`,
          { path },
        );
      }
      return parseWalletFile(file.bytes > WALLET_FILE_MAX_BYTES ? "" : Deno.readTextFileSync(path), path);
    },
    save: (file) => guard(path, () => replaceFile(path, toUtf8(JSON.stringify(file, undefined, 2) + "\n"))),
    erase: () => guard(path, () => eraseFile(path)),
    close: () => lock[Symbol.dispose](),
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
