/** The tables of a journal, by version. A journal of an older version is brought up to date when it is opened. */

/** The tables of version 1. */
const VERSION_1 = `
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

/** Version 2: duplicate chips, authentications without an answer, stops of the line, and a row that shows that it can be written. */
const VERSION_2 = `
  ALTER TABLE cards ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE cards ADD COLUMN life_cycle INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE stops (scope TEXT PRIMARY KEY, reason TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
  CREATE TABLE pulse (id INTEGER PRIMARY KEY CHECK (id = 1), beats INTEGER NOT NULL) STRICT;
  INSERT INTO pulse VALUES (1, 0);
`;

/** Statements that lead from each version (SQLite's user_version) to the next one; the first from an empty file. */
export const JOURNAL_VERSIONS: readonly string[] = [VERSION_1, VERSION_2];
