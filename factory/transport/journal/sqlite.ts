/**
 * The journal in SQLite (node:sqlite): write-ahead log, synchronous = FULL, so that a committed transaction survives
 * kill -9 and loss of power. Writes gather in one open transaction; `flush` commits it once for all readers that wait.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { Journal, JournalCard, JournalChange, JournalStep } from "./port.ts";

/** Version of the tables, in SQLite's user_version. */
const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE cards (
    id INTEGER PRIMARY KEY,
    chip TEXT NOT NULL,
    batch TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'good', 'scrapped')),
    serial TEXT,
    reservation TEXT,
    public_key TEXT,
    certificate_sha256 TEXT,
    step TEXT,
    presentations INTEGER NOT NULL,
    apdus INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    reason TEXT,
    closed INTEGER NOT NULL,
    reader TEXT NOT NULL,
    started_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX cards_by_chip ON cards (chip, id);
  CREATE UNIQUE INDEX one_work_at_a_time ON cards (chip) WHERE state = 'open';
  CREATE TABLE steps (
    card INTEGER NOT NULL REFERENCES cards (id),
    step TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('begun', 'done', 'failed')),
    note TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (card, step)
  ) STRICT;
  CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    card INTEGER NOT NULL REFERENCES cards (id),
    step TEXT NOT NULL,
    state TEXT NOT NULL,
    note TEXT,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE blocked_chips (chip TEXT PRIMARY KEY, code TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
`;

/** Column of each fact that changes. */
const COLUMNS: Readonly<Record<keyof JournalChange, string>> = {
  state: "state",
  serial: "serial",
  reservation: "reservation",
  publicKey: "public_key",
  certificateSha256: "certificate_sha256",
  presentations: "presentations",
  apdus: "apdus",
  failures: "failures",
  reason: "reason",
  closed: "closed",
  reader: "reader",
};

interface CardRow {
  id: number;
  chip: string;
  batch: string;
  state: JournalCard["state"];
  serial: string | null;
  reservation: string | null;
  public_key: string | null;
  certificate_sha256: string | null;
  step: string | null;
  presentations: number;
  apdus: number;
  failures: number;
  reason: string | null;
  closed: number;
  reader: string;
  started_at: number;
}

function cardOf(row: CardRow): JournalCard {
  const { public_key, certificate_sha256, started_at, closed, ...rest } = row;
  return {
    ...rest,
    publicKey: public_key,
    certificateSha256: certificate_sha256,
    startedAt: started_at,
    closed: closed !== 0,
  };
}

/**
 * Opens or makes a journal (mode 0600). One process at a time: the file stays locked until `close` or the process ends.
 * @throws {CodedError} `JOURNAL_LOCKED`, `JOURNAL_UNUSABLE`.
 */
export function openJournal(path: string): Journal {
  let database: DatabaseSync;
  try {
    if (path !== ":memory:") Deno.openSync(path, { create: true, append: true, mode: 0o600 }).close();
    database = new DatabaseSync(path);
    // The exclusive lock is taken at the first read in write-ahead mode, and keeps a second station out.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    database.exec("PRAGMA foreign_keys = ON; BEGIN IMMEDIATE;");
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version === 0) database.exec(`${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION};`);
    else if (version !== SCHEMA_VERSION) throw new Error(`its version is ${version}`);
    database.exec("COMMIT");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (/locked|busy/i.test(reason)) {
      throw new CodedError("JOURNAL_LOCKED", `Cannot open journal ${path}: another process has it`, { path });
    }
    throw new CodedError("JOURNAL_UNUSABLE", `Cannot open journal ${path}: ${reason}`, { path });
  }
  return new SqliteJournal(database);
}

class SqliteJournal implements Journal {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #dirty = false;
  #pending: Promise<void> | undefined;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #write(sql: string, ...values: (string | number | null)[]): number {
    if (!this.#dirty) this.#database.exec("BEGIN IMMEDIATE");
    this.#dirty = true;
    return Number(this.#prepare(sql).run(...values).lastInsertRowid);
  }

  #card(id: number): JournalCard {
    const row = this.#prepare("SELECT * FROM cards WHERE id = ?").get(id);
    if (row === undefined) throw new CodedError("INTERNAL", `Cannot find card ${id} in the journal`);
    return cardOf(row as unknown as CardRow);
  }

  find(chip: string, serial?: string): JournalCard | undefined {
    const row = serial === undefined
      ? this.#prepare("SELECT * FROM cards WHERE chip = ? ORDER BY id DESC LIMIT 1").get(chip)
      : this.#prepare("SELECT * FROM cards WHERE chip = ? AND serial = ? ORDER BY id DESC LIMIT 1").get(
        chip,
        serial,
      );
    return row === undefined ? undefined : cardOf(row as unknown as CardRow);
  }

  begin(card: Pick<JournalCard, "chip" | "batch" | "reader" | "startedAt">): JournalCard {
    const id = this.#write(
      "INSERT INTO cards (chip, batch, state, presentations, apdus, failures, closed, reader, started_at) " +
        "VALUES (?, ?, 'open', 0, 0, 0, 0, ?, ?)",
      card.chip,
      card.batch,
      card.reader,
      card.startedAt,
    );
    return this.#card(id);
  }

  change(id: number, change: JournalChange): JournalCard {
    const entries = Object.entries(change) as [keyof JournalChange, string | number | boolean | null][];
    if (entries.length > 0) {
      this.#write(
        `UPDATE cards SET ${entries.map(([field]) => `${COLUMNS[field]} = ?`).join(", ")} WHERE id = ?`,
        ...entries.map(([, value]) => typeof value === "boolean" ? Number(value) : value),
        id,
      );
    }
    return this.#card(id);
  }

  note({ card, step, state, note, at }: JournalStep): void {
    this.#write(
      "INSERT INTO steps (card, step, state, note, at) VALUES (?, ?, ?, ?, ?) " +
        "ON CONFLICT (card, step) DO UPDATE SET state = excluded.state, note = excluded.note, at = excluded.at",
      card,
      step,
      state,
      note,
      at,
    );
    this.#write(
      "INSERT INTO events (card, step, state, note, at) VALUES (?, ?, ?, ?, ?)",
      card,
      step,
      state,
      note,
      at,
    );
    if (state === "done") this.#write("UPDATE cards SET step = ? WHERE id = ?", step, card);
  }

  steps(id: number): JournalStep[] {
    const rows = this.#prepare(
      "SELECT card, step, state, note, at FROM steps WHERE card = ? ORDER BY at, rowid",
    ).all(id);
    return rows as unknown as JournalStep[];
  }

  unfinished(): JournalCard[] {
    const rows = this.#prepare("SELECT * FROM cards WHERE state = 'open' OR closed = 0 ORDER BY id").all();
    return (rows as unknown as CardRow[]).map(cardOf);
  }

  block(chip: string, code: string, at: number): void {
    this.#write("INSERT OR REPLACE INTO blocked_chips (chip, code, at) VALUES (?, ?, ?)", chip, code, at);
  }

  blocked(chip: string): string | undefined {
    const row = this.#prepare("SELECT code FROM blocked_chips WHERE chip = ?").get(chip);
    return (row as { code: string } | undefined)?.code;
  }

  unblock(chip: string): void {
    this.#write("DELETE FROM blocked_chips WHERE chip = ?", chip);
  }

  flush(): Promise<void> {
    if (!this.#dirty) return this.#pending ?? Promise.resolve();
    // Readers that come here within one turn of the event loop share one commit, that is, one fsync.
    this.#pending ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        this.#pending = undefined;
        try {
          this.#commit();
          resolve();
        } catch (error) {
          reject(new CodedError("JOURNAL_UNUSABLE", `Cannot write journal: ${(error as Error).message}`));
        }
      });
    });
    return this.#pending;
  }

  #commit(): void {
    if (!this.#dirty) return;
    this.#database.exec("COMMIT");
    this.#dirty = false;
  }

  async close(): Promise<void> {
    await this.#pending;
    this.#commit();
    this.#database.close();
  }
}

defineErrors({
  JOURNAL_LOCKED: {
    fault: "usage",
    retry: true,
    next:
      "Another station process works in this state folder: stop it, or give this station a folder of its own.",
  },
  JOURNAL_UNUSABLE: {
    fault: "service",
    retry: true,
    next:
      "Check that the state folder is on a healthy local disk with room. Do not delete the journal: it knows the cards.",
  },
});
