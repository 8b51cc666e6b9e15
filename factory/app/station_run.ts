/** `rk station run`: a batch on every reader. Wiring only. */

import { dirname, isAbsolute, join } from "node:path";
import process from "node:process";
import { CodedError, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { noEventLog } from "shared/log/writer/event_log.ts";
import { openFileEventLog } from "shared/log/writer/file_event_log.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import "../domain/issuance/refusals.ts";
import { type LoadPlan, planLoad } from "../domain/package/load_plan.ts";
import { type BatchFile, parseBatchFile } from "../domain/profile_batch.ts";
import { ChipLocks } from "../service/station/chip_locks.ts";
import type { EventSink } from "../service/station/events.ts";
import { enteredSink } from "../service/station/event_entries.ts";
import { hostIdentity, writeWalletTrust } from "../service/station/host_identity.ts";
import { runStation, type StationSummary } from "../service/station/station.ts";
import { AttestationClient } from "../service/station/attestation_client.ts";
import { openJournal } from "../transport/journal/sqlite.ts";
import { readCapFile, readSignedPackageFile } from "./package_files.ts";
import { liveScreen, plainScreen, type StationScreen } from "./screen/live_screen.ts";
import { goOnKeys, releaseKeys } from "./screen/keys.ts";
import { readPrivateJwk, readStationConfig, readTls, type StationConfig } from "./station_config.ts";
import { chooseReaders, openReaders, type VirtualReaderAddress } from "./station_readers.ts";

/** Options of `rk station run`. */
export interface StationRunCommand {
  /** File that `rk batch create --out` wrote. */
  readonly batch: string;
  /** The station's configuration file. */
  readonly station: string;
  /** Names, or parts of names, of readers; empty: all. */
  readonly readers?: readonly string[];
  readonly once?: boolean;
  readonly count?: number;
  readonly json?: boolean;
  /** `host:port,...` instead of PC/SC. */
  readonly virtualReaders?: string;
  readonly retryAuthentication?: boolean;
  /** A person has looked at why work was stopped and says that it goes on. */
  readonly goOn?: boolean;
  /** Overrides the configuration's operator. */
  readonly operator?: string;
}

/** What surrounds a command. */
export interface StationSurroundings {
  /** Standard output, one line. */
  readonly write: (line: string) => void;
  /** No new card; cards in work are finished. */
  readonly finish: AbortSignal;
  /** No further command to any card. */
  readonly stop: AbortSignal;
}

/**
 * Runs a station. With `json` every event is one JSON object a line, the first has `ready: true`, the last is the summary.
 * @returns exit code: 0 when the run did what it says, with `once` only when every card is attested.
 * @throws {CodedError} what keeps a station from starting.
 */
export async function runStationCommand(
  options: StationRunCommand,
  surroundings: StationSurroundings,
): Promise<number> {
  const config = await readStationConfig(options.station);
  const batch = await readBatch(options.batch);
  // Before any reader is opened: nothing reaches a card when the package is not what it should be.
  const loadPlan = await readPackage(batch, options.batch);
  const signingKey = readPrivateJwk(config.signingKeyFile, "OKP");
  const sealingKey = readPrivateJwk(config.sealingKeyFile, "EC");
  const tls = await readTls(config.tls);
  await Deno.mkdir(config.stateFolder, { recursive: true, mode: 0o700 });

  const readers = await openReaders(options.virtualReaders);
  const screen = await screenOf(options, surroundings, readers.virtual);
  const keys = screen.live && process.stdin.isTTY;
  // On a screen a line of the log would stand among the cards: it says errors only.
  const logger = createLogger("station", { level: "error" });
  const events = config.eventLog === undefined
    ? noEventLog(logger)
    : await openFileEventLog(config.eventLog, { process: config.name, clock: SYSTEM_CLOCK, logger });
  const emit = enteredSink(events, screen.sink);
  const attestation = new AttestationClient({
    gateways: config.gateways,
    tls,
    name: config.name,
    signingKey,
    sealingKey,
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
    onFailover: (event) => emit({ event: "failover", ...event }),
    onClockDifference: (message) => emit({ event: "warning", code: "STATION_CLOCK", message }),
  });
  const journal = openJournal(`${config.stateFolder}/journal.sqlite`);
  try {
    await checkBatch(attestation, batch);
    const host = await hostIdentity({
      stateFolder: config.stateFolder,
      batch,
      attestation,
      random: SYSTEM_RANDOM,
    });
    await writeWalletTrust(config.stateFolder, batch, host);
    const only = options.readers?.length
      ? chooseReaders(await readers.service.readers(), options.readers)
      : undefined;
    const summary = await runStation({
      context: {
        batch,
        loadPlan,
        packageSha256: loadPlan?.description.capSha256 ?? null,
        attestation,
        journal,
        host,
        chips: new ChipLocks(),
        operator: operatorOf(options, config),
        retryAuthentication: options.retryAuthentication ?? false,
        limits: config.limits,
        patienceMilliseconds: 1000 * config.waitForServiceSeconds,
        clock: SYSTEM_CLOCK,
        random: SYSTEM_RANDOM,
        emit,
        events,
        stop: surroundings.stop,
      },
      readers: readers.service,
      ...(only === undefined ? {} : { only }),
      once: options.once ?? false,
      ...(options.count === undefined ? {} : { count: options.count }),
      finish: surroundings.finish,
      goOnAtStart: options.goOn ?? false,
      ...(keys ? { goOn: goOnKeys() } : {}),
    });
    screen.close();
    if (options.json) surroundings.write(JSON.stringify(summary));
    return exitCode(options, summary);
  } finally {
    if (keys) releaseKeys();
    await journal.close();
    attestation.close();
    await events.stop();
    await readers.service.close();
  }
}

function exitCode({ once, count }: StationRunCommand, summary: StationSummary): number {
  if (summary.stopped !== undefined) return EXIT_CODES.card;
  if (once) return summary.attested > 0 && summary.failed === 0 ? EXIT_CODES.ok : EXIT_CODES.card;
  return count !== undefined && summary.attested < count ? EXIT_CODES.card : EXIT_CODES.ok;
}

function operatorOf(options: StationRunCommand, config: StationConfig): string {
  return options.operator ?? config.operator;
}

async function readBatch(path: string): Promise<BatchFile> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError(
      "BATCH_FILE_UNREADABLE",
      `Cannot read batch file ${path}: ${(error as Error).name}`,
      { path },
    );
  }
  return parseBatchFile(text);
}

/**
 * Reads the package of the profile and its signature, and decides whether it may be loaded.
 * @throws {CodedError} `PACKAGE_FILE`, those of `readCap`, `parseSignedPackage` and `planLoad`.
 */
async function readPackage(batch: BatchFile, batchPath: string): Promise<LoadPlan | undefined> {
  const { capPath, signedPath } = batch.profile.applet;
  if (capPath === null) return undefined;
  const at = (path: string) => isAbsolute(path) ? path : join(dirname(batchPath), path);
  const cap = await readCapFile(at(capPath));
  const signed = signedPath ? await readSignedPackageFile(at(signedPath)) : undefined;
  return planLoad(batch.profile, cap, signed);
}

/** The service's own view of the batch must be the file's. It also opens the first connection before a card waits for it. */
async function checkBatch(attestation: AttestationClient, batch: BatchFile): Promise<void> {
  const known = await attestation.batch(batch.batch);
  const differing = (["profileSha256", "firstSerial", "lastSerial", "issuerPublicKey"] as const)
    .filter((field) => known[field] !== batch[field]);
  if (differing.length > 0) {
    throw new CodedError(
      "BATCH_FILE_CHANGED",
      `Cannot use batch file: the service knows another ${differing.join(", ")}`,
    );
  }
  if (known.state !== "open") {
    throw new CodedError("ATTEST_BATCH_CLOSED", `Cannot run batch ${batch.batch}: it is closed`);
  }
}

async function screenOf(
  options: StationRunCommand,
  { write }: StationSurroundings,
  virtual: readonly VirtualReaderAddress[],
): Promise<StationScreen> {
  if (options.json) {
    const sink: EventSink = (event) => {
      const more = event.event === "ready" ? { ready: true, virtualReaders: virtual } : {};
      write(JSON.stringify({ ...event, ...more, time: new Date().toISOString() }));
    };
    return { sink, live: false, close: () => {} };
  }
  if (!process.stdout.isTTY) return plainScreen(write);
  try {
    return await liveScreen({ color: !Deno.env.get("NO_COLOR") });
  } catch (error) {
    // A permission set without the terminal's variables is no reason to stop a line.
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    return plainScreen(write);
  }
}
