/** The log of a service with a database: an entry and the change that it tells of are one transaction. */

import type { TransactionSql } from "../../transport/postgres/database.ts";
import { LOG_TABLE_PREFIX } from "./migrations.ts";
import { appendInTransaction } from "./postgres_sequence.ts";
import { ProcessLog } from "./process_log.ts";
import type { Receipt } from "./sequence.ts";
import type { SequencerOptions } from "./sequencer.ts";

/** A log whose sequence is in the service's own database. */
export class ServiceLog extends ProcessLog {
  readonly #prefix: string;

  /** @param prefix of the log's tables. */
  constructor(options: SequencerOptions, prefix: string = LOG_TABLE_PREFIX) {
    super(options);
    this.#prefix = prefix;
  }

  /**
   * Adds entries to the transaction of the change that they tell of: both happen or neither. Behind the commit they are never
   * lost and will be in the tree; call {@link committed} then, so that they need not wait for the next look.
   * @throws {CodedError} `LOG_STOPPED` when this log was found wrong; `LOG_ENTRY_LENGTH`; `DATABASE_*`.
   */
  async appendInTransaction(sql: TransactionSql, ...entries: Uint8Array[]): Promise<readonly Receipt[]> {
    this.requireSound();
    return await appendInTransaction(sql, entries, this.#prefix);
  }

  /** Says that a transaction with entries was committed. */
  committed(): void {
    this.sequencer.wake();
  }
}
