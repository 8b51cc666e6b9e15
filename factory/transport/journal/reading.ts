/** Reading a station's journal without touching it: for comparing it with the service's records. */

import { DatabaseSync } from "node:sqlite";
import { CodedError } from "shared/base/errors.ts";
import type { JournalState } from "./port.ts";
import "./sqlite.ts";

/** What a journal says of a serial. */
export interface JournalReading {
  readonly serial: string;
  readonly batch: string;
  readonly state: JournalState;
  readonly certificateSha256: string | null;
  readonly reader: string;
}

/**
 * Every card of a journal that has a serial, in the order in which work on them began.
 * @param path a journal, or a copy of it with its `-wal` file beside it; a station that runs keeps its own locked.
 * @throws {CodedError} `JOURNAL_LOCKED`, `JOURNAL_UNUSABLE`.
 */
export function readJournal(path: string): JournalReading[] {
  let database: DatabaseSync | undefined;
  try {
    Deno.statSync(path);
    database = new DatabaseSync(path, { readOnly: true });
    const rows = database.prepare(
      "SELECT serial, batch, state, certificate_sha256, reader FROM cards WHERE serial IS NOT NULL ORDER BY id",
    ).all() as unknown as {
      serial: string;
      batch: string;
      state: JournalState;
      certificate_sha256: string | null;
      reader: string;
    }[];
    return rows.map(({ certificate_sha256, ...row }) => ({ ...row, certificateSha256: certificate_sha256 }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (/locked|busy/i.test(reason)) {
      throw new CodedError("JOURNAL_LOCKED", `Cannot read journal ${path}: a station has it`, { path });
    }
    throw new CodedError("JOURNAL_UNUSABLE", `Cannot read journal ${path}: ${reason}`, { path });
  } finally {
    database?.close();
  }
}
