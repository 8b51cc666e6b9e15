/**
 * The witness's state in SQLite (node:sqlite): write-ahead log, synchronous = FULL, so that what is committed survives kill -9
 * and loss of power. The tables themselves refuse a second root for a size and a step back.
 *
 * A state that was put back from a copy is an old witness with a good key, and would cosign a second history. The number of the
 * last commit therefore stands in a second file as well (the high-water file, which belongs on another disk or host): a database
 * with a lower number is refused. If both are put back, nothing here can tell; the logs can, see cosign_client.ts.
 */

import { DatabaseSync } from "node:sqlite";
import { CodedError } from "../../base/errors.ts";
import { parseDecimal } from "../text.ts";
import type { CosignedCheckpoint, WitnessStateStore } from "./state_store.ts";
import "./state_store.ts";

/** Version of the tables, in SQLite's user_version. */
const SCHEMA_VERSION = 1;
/** Cosigned checkpoints that are remembered for each log; older ones are forgotten, the latest never. */
export const REMEMBERED_CHECKPOINTS = 1000;
/** Page size of the database in bytes. */
const PAGE_BYTES = 4096;

const SCHEMA = `
  CREATE TABLE cosigned (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 0),
    root BLOB NOT NULL CHECK (length(root) = 32),
    note BLOB NOT NULL,
    timestamp INTEGER NOT NULL CHECK (timestamp >= 0),
    PRIMARY KEY (origin, size)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER never_smaller BEFORE INSERT ON cosigned
    WHEN EXISTS (SELECT 1 FROM cosigned WHERE origin = NEW.origin AND size > NEW.size)
    BEGIN SELECT RAISE(ABORT, 'smaller than what was cosigned'); END;
  CREATE TRIGGER one_root BEFORE UPDATE ON cosigned
    WHEN OLD.root <> NEW.root OR OLD.origin <> NEW.origin OR OLD.size <> NEW.size
    BEGIN SELECT RAISE(ABORT, 'another root for a cosigned size'); END;
  CREATE TABLE commits (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    timestamp INTEGER NOT NULL
  ) STRICT;
  INSERT INTO commits VALUES (1, 0, 0);
  CREATE TRIGGER time_goes_on BEFORE UPDATE ON commits
    WHEN NEW.number <> OLD.number + 1 OR NEW.timestamp < OLD.timestamp
    BEGIN SELECT RAISE(ABORT, 'a step back'); END;
`;

/** How to open a state. */
export interface WitnessStateOptions {
  /** The database file; made (mode 0600) when it is missing. */
  readonly file: string;
  /** The high-water file; made when it is missing. */
  readonly highWaterFile: string;
  /** Most bytes that the database may take; more is `WITNESS_STATE_UNUSABLE`. Default: what the disk has. */
  readonly bytesMax?: number;
  /** Checkpoints that are remembered for each log. Default {@link REMEMBERED_CHECKPOINTS}. */
  readonly remembered?: number;
}

/**
 * Opens or makes a state. One process at a time: the file stays locked until `close` or the process ends.
 * @throws {CodedError} `WITNESS_STATE_LOCKED`, `WITNESS_STATE_UNUSABLE`, `WITNESS_ROLLED_BACK`.
 */
export function openWitnessState(options: WitnessStateOptions): WitnessStateStore {
  const { file, bytesMax } = options;
  let database: DatabaseSync | undefined;
  try {
    Deno.openSync(file, { create: true, append: true, mode: 0o600 }).close();
    database = new DatabaseSync(file);
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    if (bytesMax !== undefined) database.exec(`PRAGMA max_page_count = ${Math.ceil(bytesMax / PAGE_BYTES)};`);
    database.exec("BEGIN IMMEDIATE;");
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version === 0) database.exec(`${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION};`);
    else if (version !== SCHEMA_VERSION) throw new Error(`its version is ${version}`);
    database.exec("COMMIT");
    return new SqliteStore(database, options);
  } catch (error) {
    database?.close();
    if (error instanceof CodedError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    if (/locked|busy/i.test(reason)) {
      throw new CodedError(
        "WITNESS_STATE_LOCKED",
        `Cannot open witness state ${file}: another process has it`,
      );
    }
    throw new CodedError("WITNESS_STATE_UNUSABLE", `Cannot open witness state ${file}: ${reason}`);
  }
}

interface Row {
  size: number;
  root: Uint8Array;
  note: Uint8Array;
  timestamp: number;
}

class SqliteStore implements WitnessStateStore {
  readonly #database: DatabaseSync;
  readonly #file: string;
  readonly #highWaterFile: string;
  readonly #inode: number | null;
  /** Number of the last commit that this process knows of. */
  #number: number;

  readonly #remembered: number;

  constructor(database: DatabaseSync, { file, highWaterFile, remembered }: WitnessStateOptions) {
    this.#remembered = remembered ?? REMEMBERED_CHECKPOINTS;
    this.#database = database;
    this.#file = file;
    this.#highWaterFile = highWaterFile;
    this.#inode = inodeOf(file);
    this.#number = this.#commits().number;
    const reached = readHighWater(highWaterFile);
    if (reached > this.#number) throw this.#rolledBack(`commit ${this.#number} of ${reached}`);
  }

  latest(origin: string): CosignedCheckpoint | undefined {
    return this.#get(
      "SELECT size, root, note, timestamp FROM cosigned WHERE origin = ? ORDER BY size DESC LIMIT 1",
      [
        origin,
      ],
    );
  }

  at(origin: string, size: number): CosignedCheckpoint | undefined {
    return this.#get("SELECT size, root, note, timestamp FROM cosigned WHERE origin = ? AND size = ?", [
      origin,
      size,
    ]);
  }

  lastTimestamp(): number {
    return this.#commits().timestamp;
  }

  commit(origin: string, previousSize: number | undefined, next: CosignedCheckpoint): void {
    if (inodeOf(this.#file) !== this.#inode) throw this.#rolledBack("the file was exchanged");
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      if (this.#commits().number !== this.#number) throw this.#rolledBack("its content was exchanged");
      if (this.latest(origin)?.size !== previousSize) {
        throw new CodedError(
          "WITNESS_STATE_MOVED",
          `Cannot cosign for ${origin}: another checkpoint came first`,
        );
      }
      this.#write(origin, next);
      this.#database.exec("COMMIT");
    } catch (error) {
      // A commit that failed for want of room has ended the transaction already.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error instanceof CodedError ? error : unusable(error);
    }
    this.#number++;
    writeHighWater(this.#highWaterFile, this.#number);
  }

  close(): void {
    this.#database.close();
  }

  #write(origin: string, { size, root, note, timestamp }: CosignedCheckpoint): void {
    // The first note of a size stays: it is the one that a later contradiction is held against.
    this.#database.prepare(
      "INSERT INTO cosigned (origin, size, root, note, timestamp) VALUES (?, ?, ?, ?, ?) " +
        "ON CONFLICT (origin, size) DO UPDATE SET root = excluded.root, timestamp = excluded.timestamp",
    ).run(origin, size, root, note, timestamp);
    this.#database.prepare("UPDATE commits SET number = number + 1, timestamp = ? WHERE id = 1").run(
      timestamp,
    );
    this.#database.prepare(
      "DELETE FROM cosigned WHERE origin = ?1 AND size <= " +
        "(SELECT size FROM cosigned WHERE origin = ?1 ORDER BY size DESC LIMIT 1 OFFSET ?2)",
    ).run(origin, this.#remembered);
  }

  #commits(): { number: number; timestamp: number } {
    return this.#database.prepare("SELECT number, timestamp FROM commits WHERE id = 1").get() as {
      number: number;
      timestamp: number;
    };
  }

  #get(sql: string, values: (string | number)[]): CosignedCheckpoint | undefined {
    return this.#database.prepare(sql).get(...values) as unknown as Row | undefined;
  }

  #rolledBack(why: string): CodedError {
    return new CodedError(
      "WITNESS_ROLLED_BACK",
      `Cannot use witness state ${this.#file}: it went back, ${why}`,
    );
  }
}

function unusable(error: unknown): CodedError {
  const reason = error instanceof Error ? error.message : String(error);
  return new CodedError("WITNESS_STATE_UNUSABLE", `Cannot write witness state: ${reason}`);
}

function inodeOf(file: string): number | null {
  try {
    return Deno.statSync(file).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function readHighWater(file: string): number {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
  const number = parseDecimal(text.trimEnd());
  if (number === undefined) {
    throw new CodedError("WITNESS_ROLLED_BACK", `Cannot use high-water file ${file}: it holds no number`);
  }
  return number;
}

/** After the commit: it may lag behind the database after a crash, but is never ahead of it. */
function writeHighWater(file: string, number: number): void {
  try {
    Deno.writeTextFileSync(`${file}.new`, `${number}\n`, { mode: 0o600 });
    Deno.renameSync(`${file}.new`, file);
  } catch (error) {
    throw unusable(error);
  }
}
