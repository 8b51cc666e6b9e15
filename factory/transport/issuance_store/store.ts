/** The attestation service's database: one transaction for each signed request, and what is read without one. */

import { CodedError } from "shared/base/errors.ts";
import type { Database, Sql } from "shared/transport/postgres/database.ts";
import type { BatchRecord, PublishedList, RevokedCertificate, SenderRecord, SenderRole } from "./records.ts";
import { type BatchCounts, batchRecord, type BatchRow, type CountRow, countsOf } from "./rows.ts";
import { lockRevocations, readPublished, readRevoked, writePublished } from "./revocation_store.ts";
import { IssuanceTransaction } from "./transaction.ts";

/** A batch with its counts. */
export interface BatchReport {
  readonly batch: BatchRecord;
  readonly counts: BatchCounts;
}

/** The constraint that a statement violated, when that is why it failed. */
export function violatedConstraint(error: unknown): string | undefined {
  if (!(error instanceof CodedError) || error.code !== "DATABASE_DUPLICATE") return undefined;
  const { constraint } = error.details;
  return typeof constraint === "string" ? constraint : undefined;
}

/** The store. */
export class IssuanceStore {
  readonly #database: Database;
  readonly #sql: Sql;

  constructor(database: Database) {
    this.#database = database;
    this.#sql = database.sql;
  }

  /**
   * Runs one request's transaction: what `work` returns is returned after the commit; what it throws undoes it.
   * Read committed is enough: each decision holds the lock of the row that it is about, and what two rows must
   * not do together a constraint refuses. After a deadlock or the like `work` runs again.
   */
  transaction<T>(work: (transaction: IssuanceTransaction) => Promise<T>): Promise<T> {
    return this.#database.transaction(
      (sql) => work(new IssuanceTransaction(sql)),
      { isolation: "read committed" },
    );
  }

  /** The published list of revoked certificates, and what it has to list. */
  async revocations(): Promise<{ published: PublishedList | undefined; revoked: RevokedCertificate[] }> {
    const [published, revoked] = await Promise.all([readPublished(this.#sql), readRevoked(this.#sql)]);
    return { published, revoked };
  }

  /** Runs `work` as the only maker of a list, on what there is to list then; publishes what it returns. */
  publishRevocations(
    work: (
      published: PublishedList | undefined,
      revoked: RevokedCertificate[],
      transaction: IssuanceTransaction,
    ) => Promise<PublishedList>,
  ): Promise<PublishedList> {
    return this.#database.transaction(async (sql) => {
      await lockRevocations(sql);
      const [published, revoked] = [await readPublished(sql), await readRevoked(sql)];
      const next = await work(published, revoked, new IssuanceTransaction(sql));
      if (next !== published) await writePublished(sql, next, revoked.length);
      return next;
    }, { isolation: "read committed" });
  }

  /** Counts of a batch. */
  async counts(batch: string): Promise<BatchCounts> {
    return countsOf(
      await this.#sql<CountRow[]>`
        SELECT state, count(*)::int AS cards FROM reservations WHERE batch = ${batch} GROUP BY state`,
    );
  }

  /** A batch with its counts. */
  async batchReport(name: string): Promise<BatchReport | undefined> {
    const [row] = await this.#sql<BatchRow[]>`SELECT * FROM batches WHERE name = ${name}`;
    return row && { batch: batchRecord(row), counts: await this.counts(name) };
  }

  /** A sender, for requests that are not signed. */
  async sender(name: string): Promise<SenderRecord | undefined> {
    const [row] = await this.#sql<{ name: string; role: SenderRole; disabled: boolean }[]>`
      SELECT name, role, disabled FROM senders WHERE name = ${name}`;
    return row && { name: row.name, role: row.role, disabled: row.disabled };
  }

  /** Enters the configured senders. Whoever was disabled stays so. */
  async enterSenders(senders: readonly { name: string; role: SenderRole }[]): Promise<void> {
    for (const { name, role } of senders) {
      await this.#sql`
        INSERT INTO senders (name, role) VALUES (${name}, ${role})
        ON CONFLICT (name) DO UPDATE SET role = EXCLUDED.role WHERE senders.role <> EXCLUDED.role`;
    }
  }

  /** Forgets nonces whose signatures are too old by themselves. Returns how many. */
  async forgetNonces(nowSeconds: number): Promise<number> {
    const { count } = await this.#sql`DELETE FROM request_nonces WHERE expires_at < ${nowSeconds}`;
    return count;
  }

  /** Forgets answers whose time is over. Returns how many. */
  async forgetAnswers(nowSeconds: number): Promise<number> {
    const { count } = await this.#sql`DELETE FROM idempotent_requests WHERE expires_at < ${nowSeconds}`;
    return count;
  }

  /** Whether the database answers. */
  async ping(): Promise<void> {
    await this.#database.ping();
  }
}
