/** Sessions in the store: their state as text and back, and what each makes of its backup's record. */

import { SessionState } from "../domain/session.ts";
import { ENDED, type Phase, PHASE_FACTS } from "../domain/session_flow.ts";
import type { BackupRecord, SessionRow, SessionStore } from "../transport/session_store/port.ts";

/** A session and the number of times that it was written. */
export interface StoredSession {
  readonly state: SessionState;
  readonly version: number;
}

/** What a backup's record becomes in a phase. `committing` and `deleting` are where there is no way back. */
const RECORDED: Readonly<Record<"backup" | "delete", Partial<Record<Phase, BackupRecord["state"]>>>> = {
  backup: { committing: "pending", done: "stored" },
  delete: { deleting: "deleting", done: "deleted" },
};

/** The repository. */
export class SessionRepository {
  readonly #store: SessionStore;

  constructor(store: SessionStore) {
    this.#store = store;
  }

  /** Writes a new session. @returns false when this identifier is taken. */
  insert(state: SessionState): Promise<boolean> {
    return this.#store.insert(rowOf(state));
  }

  /** Reads a session. @throws {CodedError} `SESSION_SEALED`. */
  async load(session: string): Promise<StoredSession | undefined> {
    const row = await this.#store.load(session);
    return row && { state: SessionState.parse(JSON.parse(row.content)), version: row.version };
  }

  /** Writes the next state over the one of this version. @returns false when another was faster. */
  save(state: SessionState, version: number): Promise<boolean> {
    return this.#store.save(rowOf(state), version);
  }

  /** Sessions that have not ended, last written before this time in milliseconds. */
  unfinished(before: number): Promise<string[]> {
    return this.#store.unfinished(before);
  }
}

/** An entry where providers are asked behind the write, and at the end; what the device is asked has no effect yet. */
function entryOf({ session, flow, phase, step, failure }: SessionState, ended: boolean): SessionRow["entry"] {
  if (ended) {
    return phase === "done"
      ? { session, flow, outcome: "done" }
      : { session, flow, outcome: "failed", ...(failure ? { code: failure.code } : {}) };
  }
  const asks = step === null && PHASE_FACTS[phase].actor === "orchestrator";
  return asks ? { session, flow, outcome: "intended" } : null;
}

function rowOf(state: SessionState): SessionRow {
  const { session, phase, backupId, commitments, words, flow } = state;
  const recorded = flow === "restore" ? undefined : RECORDED[flow][phase];
  // A session has ended when its companion can be shown so.
  const ended = ENDED.includes(phase) && state.step !== null;
  return {
    session,
    phase,
    ended,
    entry: entryOf(state, ended),
    content: JSON.stringify(state),
    backup: recorded === undefined
      ? null
      : flow === "backup"
      ? { backupId, commitments: commitments!, words: words!, state: recorded }
      : { backupId, state: recorded },
  };
}
