/**
 * Brings a database to the schema that the program expects: numbered steps, each in a transaction of its own, recorded with
 * the SHA-256 of its text. Several instances may start at once. Steps only go forward.
 */

import { createHash } from "node:crypto";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { Database, TransactionSql } from "./database.ts";

/** One step. Once released, its text never changes. */
export interface Migration {
  /** 1, 2, 3, ... without gaps. */
  readonly id: number;
  readonly name: string;
  /** SQL; several statements are fine, BEGIN and COMMIT are not. */
  readonly sql: string;
}

/** What `migrate` did. */
export interface MigrationReport {
  /** Steps that this call applied; another instance may have applied the others. */
  readonly applied: readonly number[];
  /** The last step of the database. */
  readonly version: number;
}

/** Key of the lock that instances take: the first eight bytes of SHA-256("recovery-key migrations"). */
const LOCK_KEY = createHash("sha256").update("recovery-key migrations").digest().readBigInt64BE();
/** Time for one step, in milliseconds: building an index may take long. */
const STEP_TIMEOUT_MS = 600_000;
const STEP = { isolation: "read committed", deadlineMs: STEP_TIMEOUT_MS } as const;

/**
 * Applies the steps that the database lacks, in order.
 *
 * The lock is one of the transaction, not of the session: the embedded database has one session for all clients, where a
 * session's lock would keep nobody out.
 * @throws {CodedError} `MIGRATION_LIST` when the list itself is wrong; `MIGRATION_CHANGED` when the database holds a step
 *   that is not in the list or has another text; `MIGRATION_FAILED`; `DATABASE_UNAVAILABLE` and the like.
 */
export async function migrate(
  database: Database,
  migrations: readonly Migration[],
): Promise<MigrationReport> {
  for (const [index, migration] of migrations.entries()) {
    if (migration.id !== index + 1) {
      throw new CodedError(
        "MIGRATION_LIST",
        `Cannot migrate: step ${migration.id} stands at place ${index + 1}`,
      );
    }
  }
  await database.transaction(async (sql) => {
    await lock(sql);
    await sql`
      create table if not exists schema_migrations (
        id integer primary key,
        name text not null,
        sha256 bytea not null,
        applied_at timestamptz not null default now()
      )`;
  }, STEP);
  const applied: number[] = [];
  for (;;) {
    const step = await database.transaction((sql) => applyNext(sql, migrations), {
      isolation: "read committed",
    });
    if (step === undefined) return { applied, version: migrations.length };
    applied.push(step);
  }
}

async function applyNext(sql: TransactionSql, migrations: readonly Migration[]): Promise<number | undefined> {
  await lock(sql);
  const done = await sql<{ id: number; sha256: Uint8Array }[]>`
    select id, sha256 from schema_migrations order by id`;
  for (const [index, { id, sha256 }] of done.entries()) {
    const known = migrations[index];
    if (known?.id !== id || digestOf(known).toHex() !== sha256.toHex()) {
      throw new CodedError(
        "MIGRATION_CHANGED",
        known
          ? `Cannot migrate: step ${id} of the database is not the ${known.id} (${known.name}) of this program`
          : `Cannot migrate: the database is at step ${done.length}, this program knows ${migrations.length}`,
        { step: id },
      );
    }
  }
  const next = migrations[done.length];
  if (!next) return undefined;
  try {
    await sql.unsafe(next.sql);
  } catch (error) {
    if (error instanceof CodedError && error.row.retry) throw error;
    throw new CodedError(
      "MIGRATION_FAILED",
      `Cannot apply step ${next.id} (${next.name}): ${error instanceof Error ? error.message : "it fails"}`,
      { step: next.id },
    );
  }
  await sql`insert into schema_migrations (id, name, sha256) values (${next.id}, ${next.name}, ${
    digestOf(next)
  })`;
  return next.id;
}

async function lock(sql: TransactionSql): Promise<void> {
  await sql.unsafe(
    `set local statement_timeout = ${STEP_TIMEOUT_MS}; set local lock_timeout = ${STEP_TIMEOUT_MS}`,
  );
  await sql`select pg_advisory_xact_lock(${LOCK_KEY})`;
}

function digestOf(migration: Migration): Uint8Array {
  return new Uint8Array(createHash("sha256").update(migration.sql).digest());
}

defineErrors({
  MIGRATION_LIST: { fault: "bug", retry: false, next: "Number the steps 1, 2, 3, ... without gaps." },
  MIGRATION_CHANGED: {
    fault: "configuration",
    retry: false,
    next: "The database was made by another version of the program: run that version, or restore a backup.",
  },
  MIGRATION_FAILED: {
    fault: "bug",
    retry: false,
    next: "The step was undone. Report it, with the SQLSTATE.",
  },
});
