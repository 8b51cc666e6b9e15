/**
 * Deadlines that almost never come: one timer of the runtime for all of them, which looks every 20 ms. A timer of its own for each
 * request costs more than the rest of the decision on it.
 */

/** A deadline that was set. */
export interface Deadline {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly late: () => void;
}

const TICK_MS = 20;

/** A set of deadlines. It comes up to 20 ms late, never early. */
export class Deadlines {
  readonly #set = new Set<Deadline>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Calls `late` after `ms` unless it is cleared before. */
  set(ms: number, late: () => void): Deadline {
    const deadline = { at: performance.now() + ms, late };
    this.#set.add(deadline);
    this.#timer ??= setInterval(() => this.#look(), TICK_MS);
    return deadline;
  }

  /** Takes a deadline back. */
  clear(deadline: Deadline): void {
    this.#set.delete(deadline);
  }

  /** Forgets all of them. */
  close(): void {
    this.#set.clear();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = performance.now();
    // Nothing is waited for: the next one starts the timer again. Stopping it at once would cost each lone request a timer.
    if (this.#set.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    for (const deadline of this.#set) {
      if (deadline.at > now) continue;
      this.#set.delete(deadline);
      deadline.late();
    }
  }
}
