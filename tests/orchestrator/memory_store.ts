/** The session store in memory, for the many runs of crash and hostile tests; postgres_store_test.ts has the real one. */

import type {
  BackupRecord,
  SessionRow,
  SessionStore,
  StoredRow,
} from "orchestrator/transport/session_store/port.ts";

/** The store. */
export class MemoryStore implements SessionStore {
  readonly sessions = new Map<string, { row: SessionRow; version: number; changedAt: number }>();
  readonly backups = new Map<string, BackupRecord>();

  constructor(readonly now: () => number = () => 0) {}

  insert(row: SessionRow): Promise<boolean> {
    if (this.sessions.has(row.session)) return Promise.resolve(false);
    this.#write(row, 1);
    return Promise.resolve(true);
  }
  load(session: string): Promise<StoredRow | undefined> {
    const found = this.sessions.get(session);
    return Promise.resolve(found && { content: found.row.content, version: found.version });
  }
  save(row: SessionRow, version: number): Promise<boolean> {
    if (this.sessions.get(row.session)?.version !== version) return Promise.resolve(false);
    this.#write(row, version + 1);
    return Promise.resolve(true);
  }
  unfinished(before: number): Promise<string[]> {
    const found = [...this.sessions.values()].filter(({ row, changedAt }) =>
      !row.ended && changedAt <= before
    );
    return Promise.resolve(found.map(({ row }) => row.session));
  }
  backup(backupId: string): Promise<BackupRecord | undefined> {
    return Promise.resolve(this.backups.get(backupId));
  }
  #write(row: SessionRow, version: number): void {
    this.sessions.set(row.session, { row, version, changedAt: this.now() });
    const { backup } = row;
    const known = backup && this.backups.get(backup.backupId);
    if (backup && "commitments" in backup) this.backups.set(backup.backupId, backup);
    else if (backup && known) this.backups.set(backup.backupId, { ...known, ...backup });
  }
}
