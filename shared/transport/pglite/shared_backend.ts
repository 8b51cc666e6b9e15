/**
 * The one backend of the embedded database, lent to one connection at a time: from its first frame until the backend is ready
 * and outside a transaction. So the frames and transactions of two clients never mix. (The socket server that comes with
 * PGlite queues frame by frame: the parse of one client meets the bind of another.)
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";

/** What is needed of PGlite. */
export interface RawBackend {
  execProtocolRaw(message: Uint8Array): Promise<Uint8Array>;
}

/** Lends a backend. */
export class SharedBackend {
  readonly #backend: RawBackend;
  readonly #onDeath: (error: unknown) => void;
  #waiting: (() => void)[] = [];
  #lent = false;
  #dead = false;

  /** @param onDeath called once when the backend ends by itself: nothing can be done then but to start the process again. */
  constructor(backend: RawBackend, onDeath: (error: unknown) => void) {
    this.#backend = backend;
    this.#onDeath = onDeath;
  }

  /** Waits for its turn, first come, first served. Connections bound how many wait. */
  async borrow(): Promise<void> {
    if (this.#lent) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#lent = true;
  }

  /** Gives the backend to the next one. Only who has it may call this. */
  giveBack(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#lent = false;
  }

  /** Runs frames. Only who has it may call this. @throws {CodedError} `PGLITE_DEAD`. */
  async run(frames: Uint8Array): Promise<Uint8Array> {
    if (this.#dead) throw new CodedError("PGLITE_DEAD", "Cannot use embedded database: it ended");
    try {
      // A copy: the answer lies in memory that the next call writes over.
      return (await this.#backend.execProtocolRaw(frames)).slice();
    } catch (error) {
      if (!this.#dead) {
        this.#dead = true;
        this.#onDeath(error);
      }
      throw new CodedError("PGLITE_DEAD", "Cannot use embedded database: it ended");
    }
  }
}

defineErrors({
  PGLITE_DEAD: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Start the embedded database again; its data is kept.",
  },
});
