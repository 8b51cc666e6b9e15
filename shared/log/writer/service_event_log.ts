/** The log of a service: its sequence is in the service's database, its key in the service's token. */

import { CodedError, codeOf, defineErrors } from "../../base/errors.ts";
import type { Hsm } from "../../transport/hsm.ts";
import type { Database, TransactionSql } from "../../transport/postgres/database.ts";
import { readSecretFile } from "../../transport/secret_file.ts";
import type { Receipt } from "../store/sequence.ts";
import { hsmLogSigner, seedLogSigner } from "../store/note_signers.ts";
import { PostgresSequence } from "../store/postgres_sequence.ts";
import { ServiceLog } from "../store/service_log.ts";
import type { DatabaseEventLogConfig, ServiceEventLogConfig } from "./config.ts";
import { readSeed } from "./file_event_log.ts";
import {
  type EventEntry,
  type EventLogSurroundings,
  OpenEventLog,
  type ServiceEventLog,
  writerParts,
} from "./event_log.ts";

class OpenServiceEventLog extends OpenEventLog<ServiceLog> implements ServiceEventLog {
  async inTransaction(sql: TransactionSql, entries: readonly EventEntry[]): Promise<readonly Receipt[]> {
    if (entries.length === 0) return [];
    const leaves = await Promise.all(entries.map(({ event, facts }) => this.recorder.entry(event, facts)));
    try {
      return await this.log.appendInTransaction(sql, ...leaves);
    } catch (error) {
      // What a transaction is run again for stays what it is; everything else means that there is no entry.
      if (error instanceof CodedError && error.row.retry || codeOf(error) === "LOG_STOPPED") throw error;
      throw new CodedError(
        "EVENT_LOG_UNWRITABLE",
        "Cannot enter this in the log: nothing is done",
        {},
        error,
      );
    }
  }

  committed(): void {
    this.log.committed();
  }
}

/**
 * Opens a log, and begins to publish it or to stand by. The log's tables must be there.
 * @throws {CodedError} `LOG_KEY_CURVE`, `HSM_*`, `SECRET_FILE_*`, `LOG_TILE_STORAGE`.
 */
export async function openServiceEventLog(
  config: ServiceEventLogConfig,
  database: Database,
  hsm: Hsm,
  surroundings: EventLogSurroundings,
): Promise<ServiceEventLog> {
  const signer = await hsmLogSigner(hsm, config.keyLabel, config.origin);
  const { options, publication } = await writerParts(config, signer, surroundings);
  const log = new ServiceLog({
    ...options,
    sequence: new PostgresSequence({ database, origin: config.origin }),
  });
  return new OpenServiceEventLog(
    log,
    config,
    signer,
    [readSecretFile(config.pseudonymKeyFile)],
    publication,
    surroundings,
  );
}

/**
 * Opens the log of a process that has a database and no token: as {@link openServiceEventLog}, with a key from a file.
 * @throws {CodedError} `EVENT_LOG_KEY`, `SECRET_FILE_*`, `LOG_TILE_STORAGE`.
 */
export async function openDatabaseEventLog(
  config: DatabaseEventLogConfig,
  database: Database,
  surroundings: EventLogSurroundings,
): Promise<ServiceEventLog> {
  const seed = readSeed(config.keyFile);
  const signer = seedLogSigner(seed, config.origin);
  const { options, publication } = await writerParts(config, signer, surroundings);
  const log = new ServiceLog({
    ...options,
    sequence: new PostgresSequence({ database, origin: config.origin }),
  });
  return new OpenServiceEventLog(
    log,
    config,
    signer,
    [readSecretFile(config.pseudonymKeyFile), seed],
    publication,
    surroundings,
  );
}

defineErrors({
  EVENT_LOG_UNWRITABLE: {
    fault: "service",
    retry: true,
    http: 503,
    next:
      "Look at the database's log tables (docs/log.md): nothing is issued while an entry cannot be written.",
  },
});
