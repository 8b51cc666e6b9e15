/** Waits for entries to be in a published checkpoint: one look at the sequence for all that wait, behind each checkpoint. */

import { CodedError, defineErrors } from "../../base/errors.ts";
import { FIND_MAX, type Found, type Receipt, type Sequence } from "./sequence.ts";
import type { Sequencer } from "./sequencer.ts";

/** Pause between two looks while another instance leads, in milliseconds. */
const LOOK_MS = 100;

/** An entry that a published checkpoint holds. */
export interface Inclusion {
  readonly index: number;
  /** Size of a checkpoint that holds it, and that readers see. */
  readonly size: number;
}

interface Waiting {
  readonly receipt: Receipt;
  readonly limitMs: number;
  /** When it gives up, on the monotonic clock. */
  readonly end: number;
  resolve(inclusion: Inclusion): void;
  reject(error: unknown): void;
}

/** The refusal of a log whose writer found it wrong; undefined while it is sound. */
export function stoppedBy({ failure }: Sequencer): CodedError | undefined {
  if (failure === undefined) return undefined;
  return new CodedError(
    "LOG_STOPPED",
    `Cannot use log: it stopped (${failure.code})`,
    { code: failure.code },
    failure,
  );
}

/** Who waits for what. */
export class InclusionWatch {
  readonly #sequence: Sequence;
  readonly #sequencer: Sequencer;
  #waiting: Waiting[] = [];
  #looking = false;

  constructor(sequence: Sequence, sequencer: Sequencer) {
    this.#sequence = sequence;
    this.#sequencer = sequencer;
  }

  /** @throws {CodedError} `LOG_NOT_INCLUDED` after `limitMs`; `LOG_STOPPED`; `LOG_RECEIPT`. */
  wait(receipt: Receipt, limitMs: number): Promise<Inclusion> {
    const { promise, resolve, reject } = Promise.withResolvers<Inclusion>();
    this.#waiting.push({ receipt, limitMs, end: performance.now() + limitMs, resolve, reject });
    if (!this.#looking) {
      this.#looking = true;
      void this.#look();
    }
    return promise;
  }

  async #look(): Promise<void> {
    this.#sequencer.wake();
    while (this.#waiting.length > 0) {
      const stopped = stoppedBy(this.#sequencer);
      if (stopped !== undefined) {
        for (const { reject } of this.#waiting.splice(0)) reject(stopped);
        break;
      }
      const changed = this.#sequencer.nextChange(LOOK_MS);
      const some = this.#waiting.splice(0, FIND_MAX);
      try {
        const size = await this.#sequencer.publishedSize();
        const indices = await this.#sequence.find(some.map(({ receipt }) => receipt));
        this.#waiting.push(...some.filter((one) => !settle(one, size, indices)));
      } catch (error) {
        for (const { reject } of some) reject(error);
      }
      if (some.length < FIND_MAX) await changed;
    }
    this.#looking = false;
  }
}

/** Whether an entry was found, or never will be. */
function settle(
  { receipt, limitMs, end, resolve, reject }: Waiting,
  size: number,
  indices: Found,
): boolean {
  const index = indices.get(receipt);
  if (!indices.has(receipt)) {
    reject(new CodedError("LOG_RECEIPT", `Cannot find entry ${receipt}: the database has never taken it`));
  } else if (index !== undefined && index < size) {
    resolve({ index, size });
  } else if (performance.now() > end) {
    reject(
      new CodedError(
        "LOG_NOT_INCLUDED",
        `Cannot show entry ${receipt} in the log: no checkpoint in ${limitMs} ms`,
      ),
    );
  } else return false;
  return true;
}

defineErrors({
  LOG_NOT_INCLUDED: {
    fault: "service",
    retry: true,
    http: 503,
    next: "The entry is kept and will be published; look at why no checkpoint comes (disk, token, leader).",
  },
  LOG_STOPPED: {
    fault: "service",
    retry: false,
    http: 503,
    next: "The log was found damaged or rolled back: nothing is done without it. Look at the evidence file.",
  },
});
