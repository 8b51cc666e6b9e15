/**
 * The log as a process uses it: an entry before the effect, counted entries of what strangers cause, and whether entries can be
 * written at all. What a process may not do without its entry it does behind {@link EventLog.record}.
 */

import type { Logger } from "../../base/log.ts";
import type { Secret } from "../../base/secret.ts";
import { SOFTWARE_VERSION } from "../../base/version.ts";
import type { Clock } from "../../transport/clock.ts";
import { directorySource } from "../../transport/log_source/directory.ts";
import type { TransactionSql } from "../../transport/postgres/database.ts";
import { cosignatureVerifier } from "../cosignature.ts";
import type { EventName } from "../events.ts";
import { parseLeaf } from "../leaf.ts";
import type { LogPageOptions } from "../page.ts";
import { hmacPseudonyms, Pseudonyms } from "../pseudonym.ts";
import { type EventFacts, EventRecorder, type Identified } from "../recorder.ts";
import { openFileTileStore } from "../store/file_tile_store.ts";
import type { LogSigner } from "../store/note_signers.ts";
import type { ProcessLog } from "../store/process_log.ts";
import type { Receipt } from "../store/sequence.ts";
import type { SequencerOptions } from "../store/sequencer.ts";
import { ed25519Verifier, parseVerifierKey } from "../vkey.ts";
import { connectWitnesses } from "../witness/peers_config.ts";
import type { WitnessedPublication } from "../witness/witnessed_publication.ts";
import type { DatabaseEventLogConfig, FileEventLogConfig, ServiceEventLogConfig } from "./config.ts";
import { CountedEvents, type CountedFacts } from "./counted_events.ts";

/**
 * Entries of this many milliseconds share a checkpoint. An entry is durable before its effect; that a checkpoint holds it comes so
 * much later, and the disk is not synced a dozen times for each.
 */
export const CHECKPOINT_MS = 1_000;

type EventLogConfig = FileEventLogConfig | ServiceEventLogConfig | DatabaseEventLogConfig;

/** An event with its facts. */
export interface EventEntry {
  readonly event: EventName;
  readonly facts: EventFacts;
}

/** What a page shows of a log. */
export type EventLogPage = Pick<LogPageOptions, "source" | "policy">;

/** The log of a process. */
export interface EventLog {
  /** The process itself, as an actor. */
  readonly self: Identified;
  /**
   * Writes an entry; it is durable when this resolves. When it throws, the effect must not happen.
   * @throws {CodedError} those of the storage, retriable ones when it may come back; `LOG_STOPPED`.
   */
  record(event: EventName, facts: EventFacts): Promise<void>;
  /** Takes what has no effect of its own, and may come in a flood: counted, written soon. Never throws. */
  tell(event: EventName, facts: CountedFacts): void;
  /** False while told entries wait because they cannot be written, and for good when the log was found wrong. */
  readonly writable: boolean;
  /** Undefined when there is no log. */
  readonly page: EventLogPage | undefined;
  /** Writes what was counted and ends. */
  stop(): Promise<void>;
}

/** The log of a service, in whose transactions entries stand beside the change that they tell of. */
export interface ServiceEventLog extends EventLog {
  /** Adds entries to a transaction: both happen, or neither. @returns a receipt for each; none without a log. */
  inTransaction(sql: TransactionSql, entries: readonly EventEntry[]): Promise<readonly Receipt[]>;
  /** A transaction with entries was committed. */
  committed(): void;
}

/** No log: for programs that are looked at, and tests of other things. Entries go nowhere. */
export const NO_EVENT_LOG: ServiceEventLog = {
  self: { kind: "process", identifier: "none" },
  record: () => Promise.resolve(),
  tell: () => {},
  writable: true,
  page: undefined,
  stop: () => Promise.resolve(),
  inTransaction: () => Promise.resolve([]),
  committed: () => {},
};

/** {@link NO_EVENT_LOG} with a warning: no process should be in production without a log. */
export function noEventLog(logger: Logger): EventLog {
  const message = "Nothing is entered in a tamper-evident log: give `eventLog`.";
  logger.warning("not-for-production", { what: "no-event-log", message });
  return NO_EVENT_LOG;
}

/** What a log is opened with. */
export interface EventLogSurroundings {
  /** Name of the process. */
  readonly process: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What the page of a log is made of: it asks for the cosignatures that the configuration asks for. @throws {CodedError} `VKEY_*`. */
export function eventLogPage({ origin, folder, witnesses }: EventLogConfig, signer: LogSigner): EventLogPage {
  return {
    source: directorySource(folder),
    policy: {
      origin,
      log: [ed25519Verifier(signer.verifierKey)],
      witnesses: witnesses?.peers.map(({ vkey }) => cosignatureVerifier(parseVerifierKey(vkey))) ?? [],
      quorum: witnesses?.quorum ?? 0,
    },
  };
}

/** A log that is open; file_event_log.ts and service_event_log.ts open them. */
export class OpenEventLog<L extends ProcessLog> implements EventLog {
  readonly self: Identified;
  readonly page: EventLogPage;
  /** Makes the entries. */
  protected readonly recorder: EventRecorder<Receipt>;
  readonly #keys: readonly Secret[];
  readonly #publication: WitnessedPublication | undefined;
  readonly #counted: CountedEvents;

  /**
   * @param keys wiped at the end; the first makes the pseudonyms.
   * @param publication the log's witnesses, when it has any.
   */
  constructor(
    protected readonly log: L,
    config: EventLogConfig,
    signer: LogSigner,
    keys: readonly [Secret, ...Secret[]],
    publication: WitnessedPublication | undefined,
    { process, clock, logger }: EventLogSurroundings,
  ) {
    const { origin } = config;
    this.self = { kind: "process", identifier: process };
    this.page = eventLogPage(config, signer);
    this.#keys = keys;
    this.#publication = publication;
    this.recorder = new EventRecorder({
      pseudonyms: new Pseudonyms(origin, hmacPseudonyms(keys[0])),
      software: SOFTWARE_VERSION,
      clock,
      append: (entry) => log.append(entry),
    });
    this.#counted = new CountedEvents({
      record: (event, facts) => this.record(event, facts),
      onFailure: (error) => logger.error("log.entry-waits", { error }),
    });
    log.start();
  }

  get writable(): boolean {
    return !this.#counted.failing && this.log.sequencer.failure === undefined;
  }

  async record(event: EventName, facts: EventFacts): Promise<void> {
    await this.recorder.record(event, facts);
  }

  tell(event: EventName, facts: CountedFacts): void {
    this.#counted.tell(event, facts);
  }

  async stop(): Promise<void> {
    await this.#counted.stop();
    await this.log.stop();
    await this.#publication?.stop();
    for (const key of this.#keys) key.wipe();
  }
}

/** What the writer of either kind works with, but the sequence. */
export interface WriterParts {
  readonly options: Omit<SequencerOptions, "sequence">;
  /** The log's witnesses; undefined when it has none. */
  readonly publication: WitnessedPublication | undefined;
}

/**
 * Makes the parts of a writer.
 * @throws {CodedError} `LOG_TILE_STORAGE`, `WITNESS_POLICY`, `WITNESS_PEER_FILE`, `VKEY_*`, `COSIGNATURE_KEY`.
 */
export async function writerParts(
  config: EventLogConfig,
  signer: LogSigner,
  { clock, logger }: EventLogSurroundings,
): Promise<WriterParts> {
  const { origin } = config;
  const tiles = await openFileTileStore({ directory: config.folder });
  const signers = [signer];
  const publication = config.witnesses === undefined ? undefined : await connectWitnesses(
    config.witnesses,
    { origin, tiles, signers, logger },
    () => Math.floor(clock.now() / 1000),
  );
  if (publication === undefined) {
    const message = "Nobody cosigns this log: give `eventLog.witnesses`.";
    logger.warning("not-for-production", { what: "unwitnessed-log", message });
  }
  const options = {
    origin,
    tiles,
    signers,
    verifiers: [ed25519Verifier(signer.verifierKey)],
    logger,
    timeOf: (entry: Uint8Array) => Date.parse(parseLeaf(entry).time),
    idleMs: CHECKPOINT_MS,
    restMs: CHECKPOINT_MS,
    ...(publication === undefined
      ? {}
      : { onPublished: publication.onPublished, witnessedSize: publication.witnessedSize }),
  };
  return { options, publication };
}
