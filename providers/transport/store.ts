/** A provider's rows, which say nothing: statements of one step, in one transaction with its log entry. */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { Database, TransactionSql } from "shared/transport/postgres/database.ts";
import type { RecoverLog } from "./recover_log.ts";
import type { SealedBackup, SealedSession, StepAnswer, VaultEvent } from "../vault/protocol.ts";
import "../provider_errors.ts";

interface Row {
  readonly key_version: number;
  readonly blob: Uint8Array<ArrayBuffer>;
}

/** What became of a step's effects. */
export type Stored = "stored" | "conflict" | "set-back" | "device-replayed";

/** The store. Reads are transactions too: see `#read`. */
export class ProviderStore {
  readonly #database: Database;
  readonly #log: RecoverLog;

  constructor(database: Database, log: RecoverLog) {
    this.#database = database;
    this.#log = log;
  }

  /** A session's newest state. */
  async session(id: string): Promise<SealedSession | null> {
    const [row] = await this.#read((sql) =>
      sql<(Row & { version: number })[]>`
        SELECT version, key_version, blob FROM sessions WHERE session = ${id}`
    );
    return row ? { version: row.version, keyVersion: row.key_version, blob: toHex(row.blob) } : null;
  }

  /** A row. @param identifier 32 bytes in hex. */
  async backup(identifier: string): Promise<SealedBackup | null> {
    const [row] = await this.#read((sql) =>
      sql<Row[]>`SELECT key_version, blob FROM backups WHERE identifier = ${bytes(identifier)}`
    );
    return row ? { keyVersion: row.key_version, blob: toHex(row.blob) } : null;
  }

  /**
   * Stores what a step changed, and its log entry, or nothing at all.
   * @param read the row as the vault saw it: another one by now is a conflict.
   * @param forgetDay day since 1970 on which a new session may be forgotten.
   */
  async store(
    session: string,
    answer: StepAnswer,
    read: SealedBackup | null,
    forgetDay: number,
  ): Promise<Stored> {
    try {
      const stored = await this.#database.transaction(async (sql) => {
        if (answer.event !== null) await this.#log.commit(answer.event, sql);
        if (answer.session !== null) await this.#putSession(sql, session, answer, forgetDay);
        if (answer.backup !== null) await this.#putBackup(sql, answer.backup, read);
        return "stored" as const;
      }, { isolation: "read committed" });
      if (answer.event !== null) this.#log.committed();
      return stored;
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      if (error.code === "PROVIDER_CONFLICT") return "conflict";
      if (error.code !== "DATABASE_DUPLICATE") throw error;
      const { constraint } = error.details;
      return constraint === "change_once"
        ? "set-back"
        : constraint === "device_channel_once"
        ? "device-replayed"
        : "conflict";
    }
  }

  async #putSession(sql: TransactionSql, id: string, { session, deviceTag }: StepAnswer, forgetDay: number) {
    const { version, keyVersion, blob } = session!;
    if (deviceTag !== null) {
      await sql`INSERT INTO sessions (session, version, key_version, device_tag, forget_day, blob)
        VALUES (${id}, ${version}, ${keyVersion}, ${bytes(deviceTag)}, ${forgetDay}, ${bytes(blob)})`;
      return;
    }
    const { count } =
      await sql`UPDATE sessions SET version = ${version}, key_version = ${keyVersion}, blob = ${
        bytes(blob)
      } WHERE session = ${id} AND version = ${version - 1}`;
    requireOne(count);
  }

  async #putBackup(
    sql: TransactionSql,
    change: NonNullable<StepAnswer["backup"]>,
    read: SealedBackup | null,
  ) {
    const identifier = bytes(change.identifier);
    if ("remove" in change) {
      const { count } = await sql`DELETE FROM backups WHERE identifier = ${identifier} AND blob = ${
        bytes(read!.blob)
      }`;
      return requireOne(count);
    }
    const { keyVersion, blob } = change.put;
    const { count } = read === null
      ? await sql`INSERT INTO backups (identifier, key_version, blob) VALUES (${identifier}, ${keyVersion}, ${
        bytes(blob)
      })`
      : await sql`UPDATE backups SET key_version = ${keyVersion}, blob = ${bytes(blob)}
        WHERE identifier = ${identifier} AND blob = ${bytes(read.blob)}`;
    requireOne(count);
  }

  /** Adds a log entry alone. */
  async note(entry: VaultEvent): Promise<void> {
    await this.#database.transaction((sql) => this.#log.commit(entry, sql), { isolation: "read committed" });
    this.#log.committed();
  }

  /** Forgets sessions whose day has passed. Returns how many. */
  async forget(today: number): Promise<number> {
    return (await this.#read((sql) => sql`DELETE FROM sessions WHERE forget_day < ${today}`)).count;
  }

  /** Writes all rows anew in the order of their identifiers. */
  async rewrite(): Promise<void> {
    await this.#read((sql) => sql`SELECT rewrite_in_identifier_order()`);
  }

  /** Whether the database answers. */
  async ping(): Promise<void> {
    await this.#read((sql) => sql`SELECT 1`);
  }

  /**
   * One statement in a transaction of its own. The client library sends a statement behind another on a busy connection, and a
   * BEGIN that comes so is not given the connection for itself: nothing here runs outside of transactions, which never share.
   */
  #read<T>(work: (sql: TransactionSql) => Promise<T>): Promise<T> {
    return this.#database.transaction(work, { isolation: "read committed" });
  }
}

function requireOne(count: number): void {
  if (count !== 1) throw new CodedError("PROVIDER_CONFLICT", "Cannot store step: another one was first");
}

function bytes(hex: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(fromHex(hex));
}
