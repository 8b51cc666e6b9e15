/**
 * The sequence in a file (node:sqlite), for a process without a database server: gateway, station. Write-ahead log with
 * synchronous = FULL, so that what was committed survives kill -9 and loss of power. One process at a time: the file stays
 * locked until `close` or the process ends.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { emptyRoot } from "../merkle.ts";
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

/** Version of the tables, in SQLite's user_version. */
const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE pending (
    receipt INTEGER PRIMARY KEY AUTOINCREMENT,
    entry BLOB NOT NULL CHECK (length(entry) BETWEEN 1 AND 65535)
  ) STRICT;
  CREATE TABLE entries (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    receipt INTEGER NOT NULL UNIQUE,
    entry BLOB NOT NULL
  ) STRICT;
  CREATE TABLE head (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    signed_size INTEGER NOT NULL CHECK (signed_size BETWEEN 0 AND size),
    checkpoint BLOB,
    epoch INTEGER NOT NULL,
    holder TEXT NOT NULL
  ) STRICT;
  CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries stay'); END;
  CREATE TRIGGER entries_are_not_removed BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries stay'); END;
`;

interface HeadRow {
  origin: string;
  size: number;
  root: Uint8Array;
  signed_size: number;
  checkpoint: Uint8Array | null;
  epoch: number;
  holder: string;
  last_receipt: number;
}

/**
 * Opens or makes a file (mode 0600).
 * @throws {CodedError} `LOG_FILE_LOCKED`, `LOG_FILE`, `LOG_ORIGIN`.
 */
export function openSqliteSequence(path: string, origin: string): Sequence {
  let database: DatabaseSync | undefined;
  try {
    Deno.openSync(path, { create: true, append: true, mode: 0o600 }).close();
    database = new DatabaseSync(path);
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    database.exec("BEGIN IMMEDIATE");
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version === 0) {
      database.exec(`${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION};`);
      database.prepare("INSERT INTO head VALUES (1, ?, 0, ?, 0, NULL, 0, '')").run(origin, emptyRoot());
    } else if (version !== SCHEMA_VERSION) throw new Error(`its version is ${version}`);
    database.exec("COMMIT");
  } catch (error) {
    // Else it could hold a lock of its own until it is collected, and lock out the next attempt of this process.
    database?.close();
    const reason = error instanceof Error ? error.message : String(error);
    if (/locked|busy/i.test(reason)) {
      throw new CodedError("LOG_FILE_LOCKED", "Cannot open log file: another process has it");
    }
    throw fileError("open", error);
  }
  const sequence = new SqliteSequence(database, origin);
  const { origin: kept } = sequence.readHead();
  if (kept === origin) return sequence;
  database.close();
  throw new CodedError("LOG_ORIGIN", `Cannot open log ${origin}: the file is that of ${kept}`);
}

class SqliteSequence implements Sequence {
  readonly #database: DatabaseSync;
  readonly #origin: string;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync, origin: string) {
    this.#database = database;
    this.#origin = origin;
  }

  append(entries: readonly Uint8Array[]): Promise<readonly Receipt[]> {
    return this.#transaction("append", () =>
      entries.map((entry) => {
        requireEntryLength(entry);
        return BigInt(this.#run("INSERT INTO pending (entry) VALUES (?)", entry).lastInsertRowid);
      }));
  }

  head(): Promise<SequenceHead> {
    return this.#reading(() => this.readHead());
  }

  /** The file's lock has made this process the only one already: the fence is counted all the same. */
  lead(holder: string): Promise<SequenceHead> {
    return this.#transaction("lead", () => {
      this.#run("UPDATE head SET epoch = epoch + 1, holder = ?", holder);
      return this.readHead();
    });
  }

  resign(): Promise<void> {
    return Promise.resolve();
  }

  isDue(): Promise<boolean> {
    return this.#reading(() => this.#get("SELECT 1 FROM pending LIMIT 1") !== undefined);
  }

  integrate(
    fence: Fence,
    size: number,
    limit: number,
    _leaseMs: number,
    rootOf: (entries: readonly Uint8Array[]) => Uint8Array,
  ): Promise<Integrated> {
    return this.#transaction("give indices", () => {
      const head = this.#fenced(fence, size);
      const rows = this.#prepared("SELECT receipt, entry FROM pending ORDER BY receipt LIMIT ?")
        .all(Math.min(Math.max(1, limit), SEQUENCE_BATCH_MAX)) as { receipt: number; entry: Uint8Array }[];
      for (const [i, { receipt, entry }] of rows.entries()) {
        this.#run("INSERT INTO entries VALUES (?, ?, ?)", size + i, receipt, entry);
        this.#run("DELETE FROM pending WHERE receipt = ?", receipt);
      }
      const entries = rows.map(({ entry }) => entry);
      if (rows.length > 0) {
        this.#run("UPDATE head SET size = ?, root = ?", size + rows.length, rootOf(entries));
      }
      return {
        size: size + rows.length,
        entries,
        receipts: rows.map(({ receipt }) => BigInt(receipt)),
        lastReceipt: head.lastReceipt,
      };
    });
  }

  sign(fence: Fence, size: number, checkpoint: Uint8Array): Promise<void> {
    return this.#transaction("keep the checkpoint", () => {
      this.#fenced(fence, size);
      this.#run("UPDATE head SET signed_size = ?, checkpoint = ?", size, checkpoint);
    });
  }

  entries(start: number, end: number): Promise<readonly Uint8Array[]> {
    return this.#reading(() => {
      const rows = this.#prepared(
        "SELECT entry FROM entries WHERE position >= ? AND position < ? ORDER BY position",
      )
        .all(start, end) as { entry: Uint8Array }[];
      if (rows.length !== end - start) {
        throw new CodedError("LOG_ROLLED_BACK", `Cannot read entries ${start} to ${end}: some are gone`);
      }
      return rows.map(({ entry }) => entry);
    });
  }

  find(receipts: readonly Receipt[]): Promise<Found> {
    return this.#reading(() => {
      const indices = new Map<Receipt, number | undefined>();
      for (const receipt of receipts.slice(0, FIND_MAX)) {
        const row = this.#get(
          "SELECT position FROM entries WHERE receipt = ?1 UNION ALL SELECT NULL FROM pending WHERE receipt = ?1",
          receipt,
        ) as { position: number | null } | undefined;
        if (row !== undefined) indices.set(receipt, row.position ?? undefined);
      }
      return indices;
    });
  }

  close(): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
    return Promise.resolve();
  }

  /** The head's row. */
  readHead(): SequenceHead {
    const row = this.#get(
      "SELECT *, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'pending'), 0) AS last_receipt FROM head",
    ) as HeadRow | undefined;
    if (row === undefined) throw new CodedError("LOG_ROLLED_BACK", "Cannot open log: its head is gone");
    return {
      origin: row.origin,
      size: row.size,
      root: row.root,
      signedSize: row.signed_size,
      ...(row.checkpoint === null ? {} : { checkpoint: row.checkpoint }),
      epoch: BigInt(row.epoch),
      holder: row.holder,
      lastReceipt: BigInt(row.last_receipt),
    };
  }

  #fenced(fence: Fence, size: number): SequenceHead {
    const head = this.readHead();
    if (head.epoch > fence.epoch) {
      throw new CodedError(
        "LOG_FENCED",
        `Cannot write log: epoch ${head.epoch} leads, this is ${fence.epoch}`,
      );
    }
    if (head.epoch < fence.epoch || head.holder !== fence.holder || head.size !== size) {
      throw new CodedError(
        "LOG_ROLLED_BACK",
        `Cannot write log: the file has ${head.size} entries, not ${size}`,
        {
          databaseSize: head.size,
          size,
        },
      );
    }
    return head;
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#database.prepare(sql));
    return statement;
  }

  #run(sql: string, ...values: (string | number | bigint | Uint8Array)[]) {
    return this.#prepared(sql).run(...values);
  }

  #get(sql: string, ...values: (number | bigint)[]): unknown {
    return this.#prepared(sql).get(...values);
  }

  /** Synchronous inside, so that nothing else of this process comes between. */
  // deno-lint-ignore require-await -- a failure must be a rejection, as with a database server
  async #reading<T>(work: () => T): Promise<T> {
    try {
      return work();
    } catch (error) {
      throw fileError("read", error);
    }
  }

  // deno-lint-ignore require-await -- as above
  async #transaction<T>(action: string, work: () => T): Promise<T> {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      const value = work();
      this.#database.exec("COMMIT");
      return value;
    } catch (error) {
      if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw fileError(action, error);
    }
  }
}

function fileError(action: string, error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return new CodedError(
    "LOG_FILE",
    `Cannot ${action}: ${error instanceof Error ? error.message : "the file refuses it"}`,
    {},
    error,
  );
}

defineErrors({
  LOG_FILE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Look at the disk of the log file: it may be full or read-only. Nothing is done without the log.",
  },
  LOG_FILE_LOCKED: {
    fault: "usage",
    retry: true,
    next: "Another process uses this log file: stop it, or give this one a file of its own.",
  },
});
