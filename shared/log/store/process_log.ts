/**
 * The log of one process, whatever keeps its sequence. No entry, no action: an entry (or the intent) is durable before the
 * effect, and when it cannot be, the effect does not happen. See docs/decisions/0015_log_entry_before_the_effect.md.
 */

import { GroupAppender } from "./group_appender.ts";
import { type Inclusion, InclusionWatch, stoppedBy } from "./inclusion.ts";
import type { Receipt, Sequence } from "./sequence.ts";
import { Sequencer, type SequencerOptions } from "./sequencer.ts";

/** Time that {@link ProcessLog.included} waits, unless told otherwise, in milliseconds. */
export const DEFAULT_INCLUSION_MS = 10_000;

/** A log that a process writes. */
export class ProcessLog {
  /** The writer of this instance: leads or stands by. */
  readonly sequencer: Sequencer;
  readonly #sequence: Sequence;
  readonly #appender: GroupAppender;
  readonly #inclusion: InclusionWatch;

  constructor(options: SequencerOptions) {
    this.#sequence = options.sequence;
    this.sequencer = new Sequencer(options);
    this.#appender = new GroupAppender(
      (entries) => this.#sequence.append(entries),
      () => this.sequencer.wake(),
    );
    this.#inclusion = new InclusionWatch(this.#sequence, this.sequencer);
  }

  /** Begins to give indices and to publish. Entries are taken before it too. */
  start(): void {
    this.sequencer.start();
  }

  /**
   * Adds an entry by itself, durably when this resolves; many callers share one commit.
   * @throws {CodedError} `LOG_STOPPED`, `LOG_BUSY`, `LOG_ENTRY_LENGTH`, and those of the storage: then the effect must not happen.
   */
  async append(entry: Uint8Array): Promise<Receipt> {
    this.requireSound();
    return await this.#appender.append(entry);
  }

  /**
   * Waits until a signed checkpoint that readers see holds the entry, for effects that nobody must be able to deny later.
   * @throws {CodedError} `LOG_NOT_INCLUDED` after `limitMs`; `LOG_STOPPED`; `LOG_RECEIPT`.
   */
  included(receipt: Receipt, limitMs: number = DEFAULT_INCLUSION_MS): Promise<Inclusion> {
    return this.#inclusion.wait(receipt, limitMs);
  }

  /** Refuses when the log was found damaged or rolled back. @throws {CodedError} `LOG_STOPPED`. */
  requireSound(): void {
    const stopped = stoppedBy(this.sequencer);
    if (stopped !== undefined) throw stopped;
  }

  /** Ends what runs, and gives the leadership back. */
  async stop(): Promise<void> {
    await this.#appender.idle();
    await this.sequencer.stop();
    await this.#sequence.close();
  }
}
