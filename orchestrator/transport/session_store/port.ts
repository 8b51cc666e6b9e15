/** Where sessions are kept between requests. What a session holds is text here, and sealed in the database. */

/** What the orchestrator knows of a backup. */
export interface BackupRecord {
  /** 16 bytes, hex. */
  readonly backupId: string;
  /** 192 bytes, hex. */
  readonly commitments: string;
  readonly words: number;
  readonly state: "pending" | "stored" | "deleting" | "deleted";
}

/** What a write is told as, in the log: before providers are asked, what is about to happen; at the end, how it ended. */
export interface SessionLogEntry {
  readonly session: string;
  readonly flow: "backup" | "restore" | "delete";
  readonly outcome: "intended" | "done" | "failed";
  /** Code of the fault. */
  readonly code?: string;
}

/** A session as it is written. */
export interface SessionRow {
  readonly session: string;
  readonly phase: string;
  /** Whether nothing more happens to it. */
  readonly ended: boolean;
  /** JSON. Sealed before it is written. */
  readonly content: string;
  /** Its log entry, in the same transaction; null: nothing leaves behind this write. */
  readonly entry: SessionLogEntry | null;
  /** What it makes of its backup's record; null: nothing. */
  readonly backup: BackupRecord | { readonly backupId: string; readonly state: BackupRecord["state"] } | null;
}

/** A session and the number of times that it was written. */
export interface StoredRow {
  readonly content: string;
  readonly version: number;
}

/** The store. Each write is one transaction: the session, its log entry, and its backup's record. */
export interface SessionStore {
  /** Writes a new session. @returns false when this identifier is taken. */
  insert(row: SessionRow): Promise<boolean>;
  /** Reads a session. @throws {CodedError} `SESSION_SEALED`. */
  load(session: string): Promise<StoredRow | undefined>;
  /** Writes a session over the one of this version. @returns false when another was faster. */
  save(row: SessionRow, version: number): Promise<boolean>;
  /** Sessions that have not ended, last written before this time in milliseconds. */
  unfinished(before: number): Promise<string[]>;
  /** What is known of a backup. */
  backup(backupId: string): Promise<BackupRecord | undefined>;
}
