/** The log of a process without a database: its sequence and its keys are files. */

import { fromStrictBase64 } from "../../base/base64.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { ED25519_PRIVATE_KEY_LENGTH } from "../../crypto/ed25519.ts";
import { readSecretFile } from "../../transport/secret_file.ts";
import { seedLogSigner } from "../store/note_signers.ts";
import { ProcessLog } from "../store/process_log.ts";
import { openSqliteSequence } from "../store/sqlite_sequence.ts";
import { formatVerifierKey } from "../vkey.ts";
import type { FileEventLogConfig } from "./config.ts";
import {
  type EventLog,
  type EventLogPage,
  eventLogPage,
  type EventLogSurroundings,
  OpenEventLog,
  writerParts,
} from "./event_log.ts";

/**
 * Opens a log and begins to publish it.
 * @throws {CodedError} `EVENT_LOG_KEY`, `SECRET_FILE_*`, `LOG_FILE`, `LOG_FILE_LOCKED`, `LOG_ORIGIN`, `LOG_TILE_STORAGE`.
 */
export async function openFileEventLog(
  config: FileEventLogConfig,
  surroundings: EventLogSurroundings,
): Promise<EventLog> {
  const seed = readSeed(config.keyFile);
  const pseudonymKey = readSecretFile(config.pseudonymKeyFile);
  const signer = seedLogSigner(seed, config.origin);
  const { options, publication } = await writerParts(config, signer, surroundings);
  const log = new ProcessLog({
    ...options,
    sequence: openSqliteSequence(config.sequenceFile, config.origin),
  });
  return new OpenEventLog(log, config, signer, [pseudonymKey, seed], publication, surroundings);
}

/** The page of a log, which can be read while another process writes it. @throws {CodedError} `EVENT_LOG_KEY`. */
export function fileEventLogPage(config: FileEventLogConfig): EventLogPage {
  using seed = readSeed(config.keyFile);
  return eventLogPage(config, seedLogSigner(seed, config.origin));
}

/** The verifier key of a log whose key is in a file, as trust files have it. @throws {CodedError} `EVENT_LOG_KEY`. */
export function fileLogVerifierKey(origin: string, keyFile: string): string {
  using seed = readSeed(keyFile);
  return formatVerifierKey(seedLogSigner(seed, origin).verifierKey);
}

/** A log's key from its file. The caller wipes it. @throws {CodedError} `EVENT_LOG_KEY`, `SECRET_FILE_*`. */
export function readSeed(file: string): Secret {
  using line = readSecretFile(file);
  const seed = fromStrictBase64(new TextDecoder().decode(line.reveal()));
  if (seed?.length !== ED25519_PRIVATE_KEY_LENGTH) {
    throw new CodedError("EVENT_LOG_KEY", `Cannot use ${file}: it is not the Base64 text of 32 bytes`);
  }
  return new Secret(seed);
}

defineErrors({
  EVENT_LOG_KEY: {
    fault: "configuration",
    retry: false,
    next: "Make a key of the log's own: 32 random bytes as one line of Base64, in a file of mode 0600.",
  },
});
