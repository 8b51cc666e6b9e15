/**
 * One commit for many callers: entries that come while a commit runs go into the next one together. What is returned is
 * durable; what could not be written is refused, and the caller's effect must not happen.
 */

import { CodedError, defineErrors } from "../../base/errors.ts";
import { type Receipt, requireEntryLength } from "./sequence.ts";

/** Entries of one commit at most. */
export const GROUP_MAX = 2048;
/** Entries that may wait for a commit. */
export const GROUP_WAITING_MAX = 16_384;

interface Waiting {
  readonly entry: Uint8Array;
  resolve(receipt: Receipt): void;
  reject(error: unknown): void;
}

/** Gathers entries. */
export class GroupAppender {
  readonly #write: (entries: readonly Uint8Array[]) => Promise<readonly Receipt[]>;
  readonly #onCommit: () => void;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  /**
   * @param write makes entries durable, all or none.
   * @param onCommit called behind each commit.
   */
  constructor(
    write: (entries: readonly Uint8Array[]) => Promise<readonly Receipt[]>,
    onCommit: () => void = () => {},
  ) {
    this.#write = write;
    this.#onCommit = onCommit;
  }

  /**
   * Resolves when the entry is durable.
   * @throws {CodedError} `LOG_ENTRY_LENGTH`; `LOG_BUSY` when too many wait; else what the write threw: an entry
   * of a failed commit may be there all the same when its outcome is not known (`DATABASE_UNAVAILABLE`).
   */
  append(entry: Uint8Array): Promise<Receipt> {
    try {
      requireEntryLength(entry); // here, so that one bad entry does not refuse the group
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#waiting.length >= GROUP_WAITING_MAX) {
      return Promise.reject(
        new CodedError("LOG_BUSY", `Cannot log entry: ${GROUP_WAITING_MAX} wait to be written`),
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<Receipt>();
    this.#waiting.push({ entry, resolve, reject });
    this.#running ??= this.#drain().finally(() => this.#running = undefined);
    return promise;
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #drain(): Promise<void> {
    await Promise.resolve(); // callers of one turn share a commit
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, GROUP_MAX);
      try {
        const receipts = await this.#write(group.map(({ entry }) => entry));
        for (const [i, { resolve }] of group.entries()) resolve(receipts[i]!);
        this.#onCommit();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
  }
}

defineErrors({
  LOG_BUSY: {
    fault: "service",
    retry: true,
    http: 503,
    next: "The log is slower than its callers: try again; look at the database when it stays so.",
  },
});
