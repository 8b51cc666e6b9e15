/**
 * The journal in SQLite (node:sqlite): write-ahead log, synchronous = FULL, so that a committed transaction survives
 * kill -9 and loss of power. Writes gather in one open transaction; `flush` commits it once for all readers that wait.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { Journal, JournalCard, JournalChange, JournalStep, JournalStop } from "./port.ts";
import { JOURNAL_VERSIONS } from "./schema.ts";

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
  attempts: "attempts",
  lifeCycle: "life_cycle",
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
  attempts: number;
  life_cycle: number;
  reason: string | null;
  closed: number;
  reader: string;
  started_at: number;
}

function cardOf(row: CardRow): JournalCard {
  const { public_key, certificate_sha256, life_cycle, started_at, closed, ...rest } = row;
  return {
    ...rest,
    publicKey: public_key,
    certificateSha256: certificate_sha256,
    lifeCycle: life_cycle,
    startedAt: started_at,
    closed: closed !== 0,
  };
}

/**
 * Opens or makes a journal (mode 0600), checks it, brings it to the present version and shows that it can be written.
 * One process at a time: the file stays locked until `close` or the process ends.
 * @param pagesMax Most pages (4096 bytes) that the file may have; for tests of a full disk.
 * @throws {CodedError} `JOURNAL_LOCKED`, `JOURNAL_CORRUPT`, `JOURNAL_UNUSABLE`.
 */
export function openJournal(path: string, { pagesMax }: { readonly pagesMax?: number } = {}): Journal {
  let database: DatabaseSync | undefined;
  try {
    if (path !== ":memory:") Deno.openSync(path, { create: true, append: true, mode: 0o600 }).close();
    database = new DatabaseSync(path);
    // The exclusive lock is taken at the first read in write-ahead mode, and keeps a second station out.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    database.exec("PRAGMA foreign_keys = ON; BEGIN IMMEDIATE;");
    check(database);
    if (pagesMax !== undefined) database.exec(`PRAGMA max_page_count = ${pagesMax}`);
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version > JOURNAL_VERSIONS.length) {
      throw new Error(`its version is ${version}, this program knows ${JOURNAL_VERSIONS.length}`);
    }
    for (const statements of JOURNAL_VERSIONS.slice(version)) database.exec(statements);
    database.exec(`PRAGMA user_version = ${JOURNAL_VERSIONS.length}; ${PULSE}; COMMIT`);
    return new SqliteJournal(database);
  } catch (error) {
    try {
      database?.close();
    } catch {
      // The first failure is the one that matters.
    }
    throw failure(`Cannot open journal ${path}`, error);
  }
}

/** A write that changes nothing that anybody reads. */
const PULSE = "UPDATE pulse SET beats = (beats + 1) % 1000000";

/** Pages, rows and indexes fit together. A journal holds a line's cards of some months: it takes milliseconds. */
function check(database: DatabaseSync): void {
  const rows = database.prepare("PRAGMA quick_check(1)").all() as { quick_check: string }[];
  if (rows[0]?.quick_check !== "ok") throw new Error(`malformed: ${rows[0]?.quick_check ?? "no answer"}`);
}

function failure(what: string, error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const code = /locked|busy/i.test(reason)
    ? "JOURNAL_LOCKED"
    : /malformed|not a database|corrupt/i.test(reason)
    ? "JOURNAL_CORRUPT"
    : "JOURNAL_UNUSABLE";
  const because = code === "JOURNAL_LOCKED" ? "another process has it" : reason;
  return new CodedError(code, `${what}: ${because}`);
}

class SqliteJournal implements Journal {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #dirty = false;
  /** A write failed: what was written since the last flush is gone, so nothing may be added to it. */
  #failed: CodedError | undefined;
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
    if (this.#failed) throw this.#failed;
    try {
      if (!this.#dirty) this.#database.exec("BEGIN IMMEDIATE");
      this.#dirty = true;
      return Number(this.#prepare(sql).run(...values).lastInsertRowid);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #fail(error: unknown): CodedError {
    this.#failed ??= failure("Cannot write journal", error);
    return this.#failed;
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
    const rows = this.#prepare("SELECT * FROM cards WHERE closed = 0 ORDER BY id").all();
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

  stop({ scope, reason, at }: JournalStop): void {
    this.#write("INSERT OR REPLACE INTO stops (scope, reason, at) VALUES (?, ?, ?)", scope, reason, at);
  }

  stops(): JournalStop[] {
    return this.#prepare("SELECT scope, reason, at FROM stops ORDER BY at, scope")
      .all() as unknown as JournalStop[];
  }

  release(scope: string): void {
    this.#write("DELETE FROM stops WHERE scope = ?", scope);
  }

  async ready(): Promise<void> {
    this.#write(PULSE);
    await this.flush();
  }

  flush(): Promise<void> {
    if (this.#failed) return Promise.reject(this.#failed);
    if (!this.#dirty) return this.#pending ?? Promise.resolve();
    // Readers that come here within one turn of the event loop share one commit, that is, one fsync.
    this.#pending ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        this.#pending = undefined;
        try {
          this.#commit();
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
    return this.#pending;
  }

  #commit(): void {
    if (this.#failed) throw this.#failed;
    if (!this.#dirty) return;
    try {
      this.#database.exec("COMMIT");
      this.#dirty = false;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async close(): Promise<void> {
    try {
      await this.#pending;
      if (!this.#failed) this.#commit();
    } finally {
      this.#database.close();
    }
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
      "Check that the state folder is on a healthy local disk with room and may be written, then start the station again and present the cards again. Do not delete the journal: it knows the cards.",
  },
  JOURNAL_CORRUPT: {
    fault: "service",
    retry: false,
    next:
      "Do not delete the journal. Check the disk, move journal.sqlite* to a safe place and start again: cards go on from what they and the service say.",
  },
});
