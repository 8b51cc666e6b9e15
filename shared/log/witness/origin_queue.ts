/** Work on one log after another, on several logs at once. */

import { CodedError, defineErrors } from "../../base/errors.ts";

/** Requests that may wait for one log. */
export const WAITING_MAX = 256;

/** One line of waiting work for each origin. */
export class OriginQueue {
  readonly #last = new Map<string, { readonly done: Promise<void>; waiting: number }>();

  /** Runs work when all earlier work of the origin has ended. @throws {CodedError} `WITNESS_BUSY`. */
  async run<T>(origin: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(origin);
    const waiting = (before?.waiting ?? 0) + 1;
    if (waiting > WAITING_MAX) {
      throw new CodedError("WITNESS_BUSY", `Cannot take request: ${WAITING_MAX} wait for this log`);
    }
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const entry = { done, waiting };
    this.#last.set(origin, entry);
    await before?.done;
    try {
      return await work();
    } finally {
      resolve();
      const last = this.#last.get(origin)!;
      if (last === entry) this.#last.delete(origin);
      else last.waiting--;
    }
  }
}

defineErrors({
  WITNESS_BUSY: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Many wait for this log: send again later.",
  },
});
