/**
 * A service's log: what a service calls. No entry, no action: the entry (or the intent) is committed before the effect, and when
 * it cannot be, the effect does not happen. See docs/decisions/0012.
 */

import type { TransactionSql } from "../../transport/postgres/database.ts";
import { GroupAppender } from "./group_appender.ts";
import { LOG_TABLE_PREFIX } from "./migrations.ts";
import { appendInTransaction } from "./postgres_sequence.ts";
import { type Inclusion, InclusionWatch, stoppedBy } from "./inclusion.ts";
import type { Receipt, Sequence } from "./sequence.ts";
import { Sequencer, type SequencerOptions } from "./sequencer.ts";

/** Time that {@link ServiceLog.included} waits, unless told otherwise, in milliseconds. */
export const DEFAULT_INCLUSION_MS = 10_000;
/** The log of one process. */
export class ServiceLog {
  /** The writer of this instance: leads or stands by. */
  readonly sequencer: Sequencer;
  readonly #sequence: Sequence;
  readonly #appender: GroupAppender;
  readonly #inclusion: InclusionWatch;
  readonly #prefix: string;

  /** @param prefix of the tables, where entries are added in a service's own transactions. */
  constructor(options: SequencerOptions, prefix: string = LOG_TABLE_PREFIX) {
    this.#sequence = options.sequence;
    this.#prefix = prefix;
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
   * Adds entries to the transaction of the change that they tell of: both happen or neither. Behind the commit they are never
   * lost and will be in the tree; call {@link committed} then, so that they need not wait for the next look.
   * @throws {CodedError} `LOG_STOPPED` when this log was found wrong; `LOG_ENTRY_LENGTH`; `DATABASE_*`.
   */
  async appendInTransaction(sql: TransactionSql, ...entries: Uint8Array[]): Promise<readonly Receipt[]> {
    this.#requireSound();
    return await appendInTransaction(sql, entries, this.#prefix);
  }

  /** Says that a transaction with entries was committed. */
  committed(): void {
    this.sequencer.wake();
  }

  /**
   * Adds an entry by itself, durably when this resolves; many callers share one commit.
   * @throws {CodedError} `LOG_STOPPED`, `LOG_BUSY`, `LOG_ENTRY_LENGTH`, and those of the storage: then the effect must not happen.
   */
  async append(entry: Uint8Array): Promise<Receipt> {
    this.#requireSound();
    return await this.#appender.append(entry);
  }

  /**
   * Waits until a signed checkpoint holds the entry, for effects that nobody must be able to deny later.
   * @throws {CodedError} `LOG_NOT_INCLUDED` after `limitMs`; `LOG_STOPPED`; `LOG_RECEIPT`.
   */
  included(receipt: Receipt, limitMs: number = DEFAULT_INCLUSION_MS): Promise<Inclusion> {
    return this.#inclusion.wait(receipt, limitMs);
  }

  /** Ends what runs, and gives the leadership back. */
  async stop(): Promise<void> {
    await this.#appender.idle();
    await this.sequencer.stop();
    await this.#sequence.close();
  }

  #requireSound(): void {
    const stopped = stoppedBy(this.sequencer);
    if (stopped !== undefined) throw stopped;
  }
}
