/**
 * Where a card's memory is kept. A save is over when the bytes are on the disk under their final name, so that
 * an answer never tells of a state that a crash could take back.
 */

import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import {
  lockFile,
  removeLeftOver,
  REPLACE_STAGES,
  replaceFile,
  type ReplaceStage,
} from "shared/transport/durable_file.ts";
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
export const SAVE_STAGES: readonly ReplaceStage[] = REPLACE_STAGES;
/** One of `SAVE_STAGES`. */
export type SaveStage = ReplaceStage;

/** How a file store is opened. */
export interface FileStoreOptions {
  /** Told of each moment of a save; what it throws cuts the save there, as a loss of power would. For tests. */
  readonly onStage?: (stage: SaveStage) => void;
}

/**
 * A store in one file of mode 0600 that is replaced whole. A lock keeps a second process from writing the same card.
 * @throws {CodedError} `VCARD_STATE_LOCKED`.
 */
export function fileStore(path: string, { onStage = () => {} }: FileStoreOptions = {}): CardStore {
  const lock = lockFile(path);
  if (lock === undefined) {
    throw new CodedError("VCARD_STATE_LOCKED", `Cannot open card ${path}: another process holds it`, {
      path,
    });
  }
  return {
    load() {
      removeLeftOver(path);
      let text: string;
      try {
        text = Deno.readTextFileSync(path);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw new CodedError("VCARD_STATE_UNREADABLE", `Cannot read card state ${path}`, { path }, error);
      }
      return decodeCardState(text);
    },
    save: (state) => replaceFile(path, toUtf8(encodeCardState(state)), onStage),
    close: () => lock[Symbol.dispose](),
  };
}
