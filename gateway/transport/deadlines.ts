/**
 * Deadlines that almost never come: one timer of the runtime for all of them, which looks every 20 ms. A timer of its own for each
 * request costs more than the rest of the decision on it.
 */

/** A deadline that was set. */
export interface Deadline {
  /** Monotonic milliseconds. */
  readonly at: number;
}

/** As the set holds it. */
class Held implements Deadline {
  constructor(
    readonly at: number,
    /** Undefined: it is over. What is over must not keep a request in memory. */
    public late: (() => void) | undefined,
    /** Its place in the list. */
    public place: number,
  ) {}
}

const TICK_MS = 20;

/** A set of deadlines. It comes up to 20 ms late, never early. */
export class Deadlines {
  /**
   * In no order. A `Set` that is filled and emptied all the time makes a new table every few dozen requests, and the engine's quick
   * collection takes each old table, with the requests in it, for something in use: a quarter of its time went there.
   */
  readonly #held: Held[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Calls `late` after `ms` unless it is cleared before. */
  set(ms: number, late: () => void): Deadline {
    const deadline = new Held(performance.now() + ms, late, this.#held.length);
    this.#held.push(deadline);
    this.#timer ??= setInterval(() => this.#look(), TICK_MS);
    return deadline;
  }

  /** Takes a deadline back; nothing when it is over. */
  clear(deadline: Deadline): void {
    if (deadline instanceof Held) this.#take(deadline);
  }

  /** Forgets all of them. */
  close(): void {
    for (const deadline of this.#held.splice(0)) deadline.late = undefined;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** @returns what was to be called. */
  #take(deadline: Held): (() => void) | undefined {
    const { late, place } = deadline;
    if (late === undefined) return undefined;
    deadline.late = undefined;
    const last = this.#held.pop()!;
    if (last !== deadline) {
      this.#held[place] = last;
      last.place = place;
    }
    return late;
  }

  #look(): void {
    const now = performance.now();
    // Nothing is waited for: the next one starts the timer again. Stopping it at once would cost each lone request a timer.
    if (this.#held.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    // Taken first, called then: what is called may set and clear others.
    const late = this.#held.filter(({ at }) => at <= now);
    for (const deadline of late) this.#take(deadline)?.();
  }
}
