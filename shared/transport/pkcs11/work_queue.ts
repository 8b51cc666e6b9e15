/**
 * A bounded queue in front of a few workers (sessions of a token). First come, first served; every request has a
 * deadline that covers waiting and work; a full queue refuses at once instead of growing.
 */

import { CodedError } from "shared/base/errors.ts";
import "../hsm.ts";

/** Bounds of a queue. */
export interface WorkQueueOptions {
  /** Requests that run at once: sessions of the pool. */
  readonly workers: number;
  /** Requests that may wait beside those that run. */
  readonly limit: number;
  /** Time for waiting and work of one request, in milliseconds. */
  readonly deadlineMs: number;
}

interface Waiting {
  start(): void;
  cancel(error: CodedError): void;
}

/** Runs asynchronous work on at most `workers` workers. */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<Waiting>();
  #running = 0;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Requests that wait now. */
  get depth(): number {
    return this.#waiting.size;
  }

  /** Requests that run now, those past their deadline too: a call into a token cannot be called back. */
  get running(): number {
    return this.#running;
  }

  /**
   * Runs `work` when a worker is free.
   * @throws {CodedError} `HSM_BUSY` when the queue is full; `HSM_DEADLINE` when the deadline passes first (work that
   *   has begun goes on and keeps its worker until it ends; its result is dropped); `HSM_UNAVAILABLE` after `close`.
   */
  run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#running >= this.#options.workers && this.#waiting.size >= this.#options.limit) {
      return Promise.reject(
        new CodedError("HSM_BUSY", `Cannot queue request to token: ${this.#options.limit} are waiting`),
      );
    }
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(entry);
        reject(
          new CodedError("HSM_DEADLINE", `Cannot use token: no answer in ${this.#options.deadlineMs} ms`, {
            deadlineMs: this.#options.deadlineMs,
          }),
        );
      }, this.#options.deadlineMs);
      const entry: Waiting = {
        start: () => {
          this.#running++;
          Promise.resolve().then(work).then(resolve, reject).finally(() => {
            clearTimeout(timer);
            this.#running--;
            this.#next();
          });
        },
        cancel: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiting.add(entry);
      this.#next();
    });
  }

  /** Refuses what waits and what comes, and waits until nothing runs. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of this.#waiting) entry.cancel(closedError());
    this.#waiting.clear();
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #next(): void {
    while (this.#running < this.#options.workers) {
      const [entry] = this.#waiting;
      if (!entry) break;
      this.#waiting.delete(entry);
      entry.start();
    }
    if (this.#running === 0) { for (const resolve of this.#idle.splice(0)) resolve(); }
  }
}

function closedError(): CodedError {
  return new CodedError("HSM_UNAVAILABLE", "Cannot use token: it was closed");
}
