/**
 * The sequence in PostgreSQL, and in the embedded database that speaks its protocol. Entries are taken in the transaction of
 * the service's own change; indices are given later, by the leader alone, in one transaction that locks the head's row.
 */

import { CodedError } from "../../base/errors.ts";
import type { Database, Sql, TransactionSql } from "../../transport/postgres/database.ts";
import { isTablePrefix, LOG_TABLE_PREFIX } from "./migrations.ts";
import {
  type Fence,
  FIND_MAX,
  type Found,
  type Integrated,
  type Receipt,
  requireEntryLength,
  type Sequence,
  SEQUENCE_BATCH_MAX,
  type SequenceHead,
} from "./sequence.ts";

/** Concurrent appends never meet the leader's lock, and its reads take part in nobody's serializable order. */
const LEADER = { isolation: "read committed" } as const;

interface HeadRow {
  origin: string | null;
  size: bigint;
  root: Uint8Array;
  signed_size: bigint;
  checkpoint: Uint8Array | null;
  epoch: bigint;
  holder: string;
  last_receipt: bigint;
}

/** Which log of the database. */
export interface PostgresSequenceOptions {
  readonly database: Database;
  /** Origin of the log: written by the first leader, the same for ever. */
  readonly origin: string;
  /** Prefix of the tables, as given to `logMigrations`. */
  readonly prefix?: string;
}

/**
 * Lets entries wait, as part of a transaction: they are in the log when it commits, and never were when it does not.
 * @returns receipts in the order of `entries`, worth something only after the commit.
 * @throws {CodedError} `LOG_ENTRY_LENGTH`; `DATABASE_*`: the transaction is over, so nothing of it happens.
 */
export async function appendInTransaction(
  sql: TransactionSql,
  entries: readonly Uint8Array[],
  prefix: string = LOG_TABLE_PREFIX,
): Promise<readonly Receipt[]> {
  for (const entry of entries) requireEntryLength(entry);
  if (entries.length === 0) return [];
  if (entries.length === 1) {
    const [row] = await sql<{ receipt: bigint }[]>`
      insert into ${sql(`${prefix}_pending`)} (entry) values (${new Uint8Array(
      entries[0]!,
    )}) returning receipt`;
    return [row!.receipt];
  }
  // One parameter however many rows: the plan is the same for every batch.
  const text = entries.map((entry) => entry.toHex()).join(",");
  const rows = await sql<{ receipt: bigint }[]>`
    insert into ${sql(`${prefix}_pending`)} (entry)
    select decode(hex, 'hex') from unnest(string_to_array(${text}, ',')) with ordinality as t (hex, place)
    order by place returning receipt`;
  return rows.map(({ receipt }) => receipt).sort((a, b) => a < b ? -1 : 1);
}

/** The sequence of one log. The database stays the caller's: `close` does not close it. */
export class PostgresSequence implements Sequence {
  readonly #database: Database;
  readonly #origin: string;
  readonly #prefix: string;

  /** @throws {CodedError} `LOG_ORIGIN` for a prefix that is none. */
  constructor(options: PostgresSequenceOptions) {
    this.#database = options.database;
    this.#origin = options.origin;
    this.#prefix = options.prefix ?? LOG_TABLE_PREFIX;
    if (!isTablePrefix(this.#prefix)) {
      throw new CodedError("LOG_ORIGIN", `Cannot open log: ${this.#prefix} is no prefix of tables`);
    }
  }

  append(entries: readonly Uint8Array[]): Promise<readonly Receipt[]> {
    return this.#database.transaction((sql) => appendInTransaction(sql, entries, this.#prefix), LEADER);
  }

  async head(): Promise<SequenceHead> {
    return this.#toHead(await this.#headRow(this.#database.sql, false));
  }

  async lead(holder: string, leaseMs: number): Promise<SequenceHead | { readonly leaseLeftMs: number }> {
    return await this.#database.transaction(async (sql) => {
      await this.#headRow(sql, true);
      const head = sql(`${this.#prefix}_head`);
      const [taken] = await sql`
        update ${head} set epoch = epoch + 1, holder = ${holder}, origin = coalesce(origin, ${this.#origin}),
          lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
        where lease_until <= clock_timestamp() returning epoch`;
      if (taken !== undefined) return this.#toHead(await this.#headRow(sql, false));
      const [busy] = await sql<{ ms: number }[]>`
        select extract(epoch from lease_until - clock_timestamp())::float8 * 1000 as ms from ${head}`;
      return { leaseLeftMs: Math.max(1, Math.ceil(busy!.ms)) };
    }, LEADER);
  }

  async resign(fence: Fence): Promise<void> {
    await this.#database.sql`
      update ${this.#database.sql(`${this.#prefix}_head`)} set lease_until = '-infinity'
      where epoch = ${fence.epoch} and holder = ${fence.holder}`;
  }

  async integrate(
    fence: Fence,
    size: number,
    limit: number,
    leaseMs: number,
    rootOf: (entries: readonly Uint8Array[]) => Uint8Array,
  ): Promise<Integrated> {
    const most = Math.min(Math.max(1, limit), SEQUENCE_BATCH_MAX);
    return await this.#database.transaction(async (sql) => {
      const head = await this.#fenced(sql, fence, size);
      const [pending, entries] = [sql(`${this.#prefix}_pending`), sql(`${this.#prefix}_entries`)];
      const moved = await sql<{ entry: Uint8Array; receipt: bigint; index: bigint }[]>`
        with taken as (
          delete from ${pending}
          where receipt in (select receipt from ${pending} order by receipt limit ${most})
          returning receipt, entry
        )
        insert into ${entries} (index, receipt, entry)
        select ${BigInt(size)} + row_number() over (order by receipt) - 1, receipt, entry from taken
        order by receipt returning index, receipt, entry`;
      moved.sort((a, b) => a.index < b.index ? -1 : 1);
      const bytes = moved.map(({ entry }) => entry);
      await sql`
        update ${sql(`${this.#prefix}_head`)} set
          lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond',
          size = size + ${BigInt(moved.length)},
          root = ${moved.length === 0 ? new Uint8Array(head.root) : new Uint8Array(rootOf(bytes))}`;
      return {
        size: size + moved.length,
        entries: bytes,
        receipts: moved.map(({ receipt }) => receipt),
        lastReceipt: head.last_receipt,
      };
    }, LEADER);
  }

  async isDue(fence: Fence, size: number, leaseMs: number): Promise<boolean> {
    const { sql } = this.#database;
    const [row] = await sql<{ due: boolean }[]>`
      select epoch <> ${fence.epoch} or holder <> ${fence.holder} or size <> ${BigInt(size)}
        or lease_until < clock_timestamp() + ${leaseMs * 2 / 3} * interval '1 millisecond'
        or exists (select from ${sql(`${this.#prefix}_pending`)}) as due
      from ${sql(`${this.#prefix}_head`)}`;
    return row?.due ?? true;
  }

  async sign(fence: Fence, size: number, checkpoint: Uint8Array): Promise<void> {
    await this.#database.transaction(async (sql) => {
      const head = await this.#fenced(sql, fence, size);
      if (head.signed_size > BigInt(size)) throw rolledBack(head, size);
      await sql`update ${sql(`${this.#prefix}_head`)} set signed_size = ${BigInt(size)},
        checkpoint = ${new Uint8Array(checkpoint)}`;
    }, LEADER);
  }

  async entries(start: number, end: number): Promise<readonly Uint8Array[]> {
    const rows = await this.#database.sql<{ index: bigint; entry: Uint8Array }[]>`
      select index, entry from ${this.#database.sql(`${this.#prefix}_entries`)}
      where index >= ${BigInt(start)} and index < ${BigInt(end)} order by index`;
    if (rows.length !== end - start) {
      throw new CodedError("LOG_ROLLED_BACK", `Cannot read entries ${start} to ${end}: some are gone`, {
        found: rows.length,
      });
    }
    return rows.map(({ entry }) => entry);
  }

  async find(receipts: readonly Receipt[]): Promise<Found> {
    const { sql } = this.#database;
    if (receipts.length === 0) return new Map();
    const wanted = sql(receipts.slice(0, FIND_MAX));
    const rows = await sql<{ receipt: bigint; index: bigint | null }[]>`
      select receipt, index from ${sql(`${this.#prefix}_entries`)} where receipt in ${wanted}
      union all
      select receipt, null from ${sql(`${this.#prefix}_pending`)} where receipt in ${wanted}`;
    return new Map(rows.map(({ receipt, index }) => [receipt, index === null ? undefined : Number(index)]));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The head's row, locked: who else would write waits until this transaction is over. */
  async #fenced(sql: TransactionSql, fence: Fence, size: number): Promise<HeadRow> {
    const row = await this.#headRow(sql, true);
    if (row.epoch > fence.epoch) throw fenced(row, fence);
    // A database that was put back knows less than its leader: an older epoch, the same one of another holder, a smaller size.
    if (row.epoch < fence.epoch || row.holder !== fence.holder || row.size !== BigInt(size)) {
      throw rolledBack(row, size);
    }
    return row;
  }

  async #headRow(sql: Sql, lock: boolean): Promise<HeadRow> {
    const [row] = await sql<HeadRow[]>`
      select origin, size, root, signed_size, checkpoint, epoch, holder,
        coalesce(pg_sequence_last_value(pg_get_serial_sequence(${`${this.#prefix}_pending`}, 'receipt')), 0)::int8
          as last_receipt
      from ${sql(`${this.#prefix}_head`)} ${lock ? sql`for update` : sql``}`;
    if (row === undefined) throw new CodedError("LOG_ROLLED_BACK", "Cannot open log: its head is gone");
    if (row.origin !== null && row.origin !== this.#origin) {
      throw new CodedError(
        "LOG_ORIGIN",
        `Cannot open log ${this.#origin}: the tables are those of ${row.origin}`,
      );
    }
    return row;
  }

  #toHead(row: HeadRow): SequenceHead {
    return {
      origin: this.#origin,
      size: Number(row.size),
      root: row.root,
      signedSize: Number(row.signed_size),
      ...(row.checkpoint === null ? {} : { checkpoint: row.checkpoint }),
      epoch: row.epoch,
      holder: row.holder,
      lastReceipt: row.last_receipt,
    };
  }
}

function fenced(row: HeadRow, fence: Fence): CodedError {
  return new CodedError("LOG_FENCED", `Cannot write log: epoch ${row.epoch} leads, this is ${fence.epoch}`, {
    epoch: row.epoch,
    ownEpoch: fence.epoch,
  });
}

function rolledBack(row: HeadRow, size: number): CodedError {
  return new CodedError(
    "LOG_ROLLED_BACK",
    `Cannot write log: the database has ${row.size} entries under epoch ${row.epoch}, its leader knows ${size}`,
    { databaseSize: row.size, databaseEpoch: row.epoch, size },
  );
}
