/**
 * Deadlines that almost never come: one timer of the runtime for all of them, which looks every 20 ms. A timer of its own for each
 * request costs more than the rest of the decision on it.
 */

import { Roster, type Seat } from "./roster.ts";

interface Due {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly late: () => void;
}

/** A deadline that was set. */
export type Deadline = Seat<Due>;

const TICK_MS = 20;

/** A set of deadlines. It comes up to 20 ms late, never early. */
export class Deadlines {
  readonly #set = new Roster<Due>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param monotonic The clock, milliseconds. */
  constructor(readonly monotonic: () => number) {}

  /** How many wait. */
  get waiting(): number {
    return this.#set.size;
  }

  /** Calls `late` at a time of the clock, unless it is cleared before. */
  set(at: number, late: () => void): Deadline {
    this.#timer ??= setInterval(() => this.#look(), TICK_MS);
    return this.#set.add({ at, late });
  }

  /** Takes a deadline back; nothing when it is over. */
  clear(deadline: Deadline): void {
    this.#set.leave(deadline);
  }

  /** Forgets all of them. */
  close(): void {
    for (const deadline of this.#set.seats()) this.#set.leave(deadline);
    this.#stop();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    // Nothing is waited for: the next one starts the timer again. Stopping it at once would cost each lone request a timer.
    if (this.#set.size === 0) return this.#stop();
    const now = this.monotonic();
    for (const deadline of this.#set.seats()) {
      if (deadline.member !== undefined && deadline.member.at <= now) this.#set.leave(deadline)!.late();
    }
  }
}
