/**
 * The times in entries beside their order. A time is what the writer's clock said and is never corrected; the order is the index
 * alone. Entries of one moment may come in another order than their times (they commit at once), so a little is let pass; more
 * means that a clock was set back, and is told.
 */

/** How far an entry's time may lie before the latest one ahead of it, in milliseconds: longer than a transaction may take. */
export const TIME_TOLERANCE_MS = 60_000;

/** A clock that was set back. */
export interface TimeBack {
  readonly index: number;
  /** Time of that entry, in milliseconds since 1970. */
  readonly timeMs: number;
  /** Latest time of an entry ahead of it. */
  readonly latestMs: number;
}

/** Looks at entries in their order. */
export class EntryTimes {
  readonly #timeOf: (entry: Uint8Array) => number | undefined;
  #latestMs = -Infinity;
  /** A clock that stays behind is told once for each time it is set back further. */
  #toldMs = Infinity;

  /** @param timeOf time of an entry in milliseconds since 1970; undefined when it has none that can be read. */
  constructor(timeOf: (entry: Uint8Array) => number | undefined) {
    this.#timeOf = timeOf;
  }

  /**
   * Takes the next entries.
   * @param start index of the first.
   * @returns where the clock was set back by more than {@link TIME_TOLERANCE_MS}.
   */
  next(entries: readonly Uint8Array[], start: number): TimeBack[] {
    const found: TimeBack[] = [];
    for (const [i, entry] of entries.entries()) {
      const timeMs = this.#timeOf(entry);
      if (timeMs === undefined) continue;
      if (timeMs >= this.#latestMs - TIME_TOLERANCE_MS) {
        this.#toldMs = Infinity;
        this.#latestMs = Math.max(this.#latestMs, timeMs);
      } else if (timeMs < this.#toldMs - TIME_TOLERANCE_MS) {
        this.#toldMs = timeMs;
        found.push({ index: start + i, timeMs, latestMs: this.#latestMs });
      }
    }
    return found;
  }
}
