/** Sessions in PostgreSQL. A session's row and its log entry are written in one transaction. */

import { fromHex } from "shared/base/bytes.ts";
import type { Database, TransactionSql } from "shared/transport/postgres/database.ts";
import type { BackupRecord, SessionLogEntry, SessionRow, SessionStore, StoredRow } from "./port.ts";
import type { StateSeal } from "./state_seal.ts";

/** Where entries go, inside the transaction of what they tell of. */
export interface RecoverLog {
  commit(entry: SessionLogEntry, sql: TransactionSql): Promise<void>;
  /** A transaction with an entry was committed. */
  committed(): void;
}

/** No log. */
export const WITHOUT_LOG: RecoverLog = { commit: () => Promise.resolve(), committed: () => {} };

const about = (session: string, version: number) => `session ${session} ${version}`;
const aboutBackup = (backupId: string) => `backup ${backupId}`;

/** The store; see the port. */
export class PostgresSessionStore implements SessionStore {
  readonly #database: Database;
  readonly #seal: StateSeal;
  readonly #log: RecoverLog;

  constructor(database: Database, seal: StateSeal, log: RecoverLog) {
    this.#database = database;
    this.#seal = seal;
    this.#log = log;
  }

  insert(row: SessionRow): Promise<boolean> {
    return this.#write(row, 1, async (sql, sealed) => {
      const { count } = await sql`
        INSERT INTO recover_sessions (session, phase, ended, version, sealed)
        VALUES (${row.session}, ${row.phase}, ${row.ended}, 1, ${sealed})
        ON CONFLICT (session) DO NOTHING`;
      return count === 1;
    });
  }

  async load(session: string): Promise<StoredRow | undefined> {
    const [row] = await this.#database.sql<{ version: number; sealed: Uint8Array }[]>`
      SELECT version, sealed FROM recover_sessions WHERE session = ${session}`;
    return row && { version: row.version, content: this.#seal.open(row.sealed, about(session, row.version)) };
  }

  save(row: SessionRow, version: number): Promise<boolean> {
    const next = version + 1;
    return this.#write(row, next, async (sql, sealed) => {
      const { count } = await sql`
        UPDATE recover_sessions
        SET phase = ${row.phase}, ended = ${row.ended}, version = ${next}, sealed = ${sealed}, changed_at = now()
        WHERE session = ${row.session} AND version = ${version}`;
      return count === 1;
    });
  }

  async unfinished(before: number): Promise<string[]> {
    const rows = await this.#database.sql<{ session: string }[]>`
      SELECT session::text AS session FROM recover_sessions
      WHERE NOT ended AND changed_at <= ${new Date(before)} ORDER BY changed_at LIMIT 1000`;
    return rows.map(({ session }) => session);
  }

  async backup(backupId: string): Promise<BackupRecord | undefined> {
    const [row] = await this.#database.sql<{ state: BackupRecord["state"]; sealed: Uint8Array }[]>`
      SELECT state, sealed FROM recover_backups WHERE backup_id = ${bytea(backupId)}`;
    if (row === undefined) return undefined;
    const { commitments, words } = JSON.parse(this.#seal.open(row.sealed, aboutBackup(backupId)));
    return { backupId, commitments, words, state: row.state };
  }

  async #write(
    row: SessionRow,
    version: number,
    write: (sql: TransactionSql, sealed: Uint8Array<ArrayBuffer>) => Promise<boolean>,
  ): Promise<boolean> {
    const sealed = this.#seal.seal(row.content, about(row.session, version));
    const written = await this.#database.transaction(async (sql) => {
      if (!await write(sql, sealed)) return false;
      if (row.entry !== null) await this.#log.commit(row.entry, sql);
      if (row.backup !== null) await this.#writeBackup(row.backup, sql);
      return true;
    }, { isolation: "read committed" });
    if (written && row.entry !== null) this.#log.committed();
    return written;
  }

  async #writeBackup(backup: NonNullable<SessionRow["backup"]>, sql: TransactionSql): Promise<void> {
    const id = bytea(backup.backupId);
    if (!("commitments" in backup)) {
      await sql`UPDATE recover_backups SET state = ${backup.state} WHERE backup_id = ${id}`;
      return;
    }
    const { backupId, commitments, words, state } = backup;
    const sealed = this.#seal.seal(JSON.stringify({ commitments, words }), aboutBackup(backupId));
    await sql`
      INSERT INTO recover_backups (backup_id, state, sealed) VALUES (${id}, ${state}, ${sealed})
      ON CONFLICT (backup_id) DO UPDATE SET state = EXCLUDED.state`;
  }
}

function bytea(hex: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(fromHex(hex));
}
