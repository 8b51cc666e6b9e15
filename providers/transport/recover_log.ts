/** The anchor of a provider's changes in its log: every tag once, with the receipt of the entry that tells of the change. */

import { fromHex } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { Receipt } from "shared/log/store/sequence.ts";
import type { Database, TransactionSql } from "shared/transport/postgres/database.ts";
import type { VaultEvent } from "../vault/protocol.ts";

defineErrors({
  PROVIDER_ANCHOR: {
    fault: "service",
    retry: false,
    next:
      "The log has changes that the database no longer knows: it was set back. Stop, keep both, and restore the newest database.",
  },
});

/** Where a provider's security events go. The entry is in the log when, and only when, the transaction is committed. */
export interface RecoverLog {
  /**
   * Adds an entry.
   * @throws {CodedError} `DATABASE_DUPLICATE` (details `constraint` = `change_once`) when a change of this tag was entered
   *   before: the backup was changed from this state, and the row was set back.
   */
  commit(entry: VaultEvent, sql: TransactionSql): Promise<void>;
  /** A transaction with entries was committed. */
  committed(): void;
}

/** Takes a tag. @param tag 32 bytes in hex. @param receipt of the entry; undefined without a log. */
export async function anchorChange(
  sql: TransactionSql,
  tag: string,
  receipt: Receipt | undefined,
): Promise<void> {
  await sql`INSERT INTO changes (tag, receipt) VALUES (${new Uint8Array(fromHex(tag))}, ${receipt ?? null})`;
}

/** Anchors alone, for programs that look at other things. */
export const ANCHORS_ONLY: RecoverLog = {
  async commit({ tag }, sql) {
    if (tag !== null) await anchorChange(sql, tag, undefined);
  },
  committed: () => {},
};

/**
 * Looks whether every change in the log is anchored. Whoever sets the database back has to set back the log with it, which its
 * checkpoints and witnesses show.
 * @throws {CodedError} `PROVIDER_ANCHOR`.
 */
export async function requireAnchors(database: Database): Promise<void> {
  const [row] = await database.transaction(
    (sql) =>
      sql<{ lost: number }[]>`
      SELECT count(*)::int AS lost FROM (
        SELECT receipt, entry FROM log_entries UNION ALL SELECT receipt, entry FROM log_pending
      ) entered
      WHERE position('"subject":"change:'::bytea IN entry) > 0
        AND NOT EXISTS (SELECT FROM changes WHERE changes.receipt = entered.receipt)`,
    { isolation: "read committed" },
  );
  if (row!.lost > 0) {
    throw new CodedError("PROVIDER_ANCHOR", `Cannot serve: ${row!.lost} changes of the log are not anchored`);
  }
}
