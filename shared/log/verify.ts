/**
 * Verifies a whole log from its files: signatures and cosignatures, every tile of every level, the root, every entry's hash and
 * schema, the order of times, and earlier checkpoints. It goes on after a fault as far as that means something, and reports each
 * fault by its code and place; it repairs nothing.
 */

import { CodedError, codeOf, defineErrors } from "../base/errors.ts";
import { type Leaf, parseLeaf } from "./leaf.ts";
import { LogReader } from "./reader.ts";
import { type CheckpointPolicy, openCheckpoint } from "./signed_checkpoint.ts";
import type { LogSource } from "./source.ts";
import { bundlesOf, tilePath, tilesOf } from "./tile.ts";

/** Most findings that are kept; more are counted. */
export const FINDINGS_MAX = 100;

/** After so many faults a verification ends: a checkpoint can name more tiles than anybody could look for. */
export const FAULTS_MAX = 10_000;
/** How far ahead of our clock a time may be before it is worth a look, in milliseconds. */
const AHEAD_MS = 300_000;

/** One thing that is wrong, or worth a look. */
export interface LogFinding {
  /** Stable code: an error code of the reader, or one of this file's table. */
  readonly code: string;
  /** `fault`: the log is not to be trusted. `notice`: it verifies, and somebody should look. */
  readonly severity: "fault" | "notice";
  /** For people. */
  readonly message: string;
  /** Path of the file, where it is one file's. */
  readonly file?: string;
  /** Index of the entry, where it is one entry's. */
  readonly entry?: number;
}

/** What a verification found. */
export interface LogVerification {
  /** No fault. */
  readonly ok: boolean;
  /** Undefined when no checkpoint could be trusted. */
  readonly origin?: string;
  readonly size?: number;
  /** Root (32). */
  readonly root?: Uint8Array;
  /** Witnesses that cosigned, with their times in seconds since 1970. */
  readonly cosignatures: readonly { readonly name: string; readonly timestamp: number }[];
  /** Tiles and bundles that were read and verified. */
  readonly files: number;
  /** Entries that were read and verified. */
  readonly entries: number;
  /** Times of the first and the last entry that could be read. */
  readonly firstTime?: string;
  readonly lastTime?: string;
  readonly findings: readonly LogFinding[];
  /** Findings beyond {@link FINDINGS_MAX}. */
  readonly findingsNotKept: number;
  /** Everything was looked at: false when there was no trusted root, or after {@link FAULTS_MAX} faults. */
  readonly complete: boolean;
}

/** What is asked for beyond the policy. */
export interface VerifyOptions {
  /** Checkpoint notes of this log that were seen before. */
  readonly seen?: readonly Uint8Array[];
  /** Oldest that the newest sign of life may be, in milliseconds before `now`: cosignature or entry. */
  readonly maxAgeMs?: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

class Findings {
  readonly kept: LogFinding[] = [];
  notKept = 0;
  faults = 0;
  /** Faults that were met again. */
  #repeated = 0;

  get tooMany(): boolean {
    return this.faults + this.#repeated >= FAULTS_MAX;
  }

  add(finding: LogFinding): void {
    if (finding.severity === "fault") this.faults++;
    if (this.kept.length < FINDINGS_MAX) this.kept.push(finding);
    else this.notKept++;
  }

  /** Keeps a failure of the log; anything else goes on up. */
  fault(error: unknown, file?: string): void {
    if (!(error instanceof CodedError)) throw error;
    const { tile, entry } = error.details as { tile?: string; entry?: number };
    const place = tile ?? file;
    // A tile that is wrong is met again at everything below it: it is told once.
    const known = place !== undefined && entry === undefined &&
      this.kept.some(({ code, file }) => code === error.code && file === place);
    if (known) return void this.#repeated++;
    this.add({
      code: error.code,
      severity: "fault",
      message: error.message,
      ...(place === undefined ? {} : { file: place }),
      ...(entry === undefined ? {} : { entry }),
    });
  }
}

/**
 * Verifies a log.
 * @throws {CodedError} `LOG_SOURCE_UNAVAILABLE` when the files cannot be read at all, `CHECKPOINT_POLICY`; every fault of the log
 * itself is a finding.
 */
export async function verifyLog(
  source: LogSource,
  policy: CheckpointPolicy,
  options: VerifyOptions,
): Promise<LogVerification> {
  const findings = new Findings();
  let reader: LogReader;
  try {
    reader = await LogReader.open(source, policy);
  } catch (error) {
    if (["LOG_SOURCE_UNAVAILABLE", "CHECKPOINT_POLICY"].includes(codeOf(error))) throw error;
    findings.fault(error, "checkpoint");
    return report(findings, { cosignatures: [], files: 0, entries: 0, complete: false });
  }
  const { origin, size, root, cosignatures } = reader.checkpoint;
  await compareSeen(reader, policy, options.seen ?? [], findings);
  const tiles = await verifyTiles(reader, findings);
  const read = tiles.rooted
    ? await verifyEntries(reader, findings)
    : { files: 0, entries: 0, first: undefined, last: undefined };
  checkTimes(reader, policy.quorum, read.last, options, findings);
  return report(findings, {
    origin,
    size,
    root,
    cosignatures,
    files: tiles.files + read.files,
    entries: read.entries,
    complete: tiles.rooted && !findings.tooMany,
    ...(read.first === undefined ? {} : { firstTime: read.first }),
    ...(read.last === undefined ? {} : { lastTime: read.last }),
  });
}

function report(
  { kept, notKept, faults }: Findings,
  facts: Omit<LogVerification, "ok" | "findings" | "findingsNotKept">,
): LogVerification {
  return { ok: faults === 0, ...facts, findings: kept, findingsNotKept: notKept };
}

async function compareSeen(
  reader: LogReader,
  policy: CheckpointPolicy,
  seen: readonly Uint8Array[],
  findings: Findings,
): Promise<void> {
  for (const bytes of seen) {
    try {
      // What was seen before counts by the log's own signature: it is evidence whoever cosigned it.
      await reader.compareWith(openCheckpoint(bytes, { ...policy, quorum: 0 }));
    } catch (error) {
      findings.fault(error, "checkpoint");
    }
  }
}

async function verifyTiles(
  reader: LogReader,
  findings: Findings,
): Promise<{ readonly rooted: boolean; readonly files: number }> {
  try {
    await reader.tree.verifyRoot();
  } catch (error) {
    // Without the right edge nothing below it can be told from anything else.
    findings.fault(error);
    return { rooted: false, files: 0 };
  }
  let files = 0;
  for (const tile of tilesOf(reader.checkpoint.size)) {
    if (findings.tooMany) break;
    try {
      await reader.tree.hashes(tile.level, tile.index);
      files++;
    } catch (error) {
      findings.fault(error, tilePath(tile));
    }
  }
  return { rooted: true, files };
}

async function verifyEntries(reader: LogReader, findings: Findings) {
  let files = 0;
  let entries = 0;
  let first: string | undefined;
  let last: string | undefined;
  for (const bundle of bundlesOf(reader.checkpoint.size)) {
    if (findings.tooMany) break;
    try {
      for (const { index, bytes } of await reader.bundle(bundle.index)) {
        entries++;
        const leaf = readLeaf(bytes, index, findings);
        if (leaf === undefined) continue;
        first ??= leaf.time;
        if (last !== undefined && leaf.time < last) {
          findings.add({
            code: "LOG_TIME_BACK",
            severity: "notice",
            message: `Entry ${index} is of ${leaf.time}, before the entry ahead of it (${last})`,
            entry: index,
          });
        }
        last = leaf.time;
      }
      files++;
    } catch (error) {
      // A tile of hashes that is wrong was reported with the tiles.
      if (!["TILE_HASH", "TILE_LENGTH"].includes(codeOf(error))) findings.fault(error, tilePath(bundle));
    }
  }
  return { files, entries, first, last };
}

function readLeaf(bytes: Uint8Array, entry: number, findings: Findings): Leaf | undefined {
  try {
    return parseLeaf(bytes);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    findings.add({ code: error.code, severity: "fault", message: `Entry ${entry}: ${error.message}`, entry });
    return undefined;
  }
}

/**
 * How old the log is, and whether a time is ahead of our clock. Of the cosignatures as many count as the policy asks for: one witness
 * whose clock runs ahead does not keep an old log young.
 */
function checkTimes(
  { checkpoint: { cosignatures } }: LogReader,
  quorum: number,
  lastEntry: string | undefined,
  { maxAgeMs, now }: VerifyOptions,
  findings: Findings,
): void {
  const cosigned = cosignatures.map(({ timestamp }) => timestamp * 1000).sort((a, b) => b - a);
  const written = lastEntry === undefined ? 0 : Date.parse(lastEntry);
  const ahead = [
    ...cosignatures.filter(({ timestamp }) => timestamp * 1000 > now + AHEAD_MS).map(({ name }) => name),
    ...(written > now + AHEAD_MS ? ["the log itself"] : []),
  ];
  for (const name of ahead) {
    findings.add({
      code: "LOG_TIME_AHEAD",
      severity: "notice",
      message: `The clock of ${name} is ahead of ours`,
      file: "checkpoint",
    });
  }
  const newest = Math.max(cosigned[Math.max(quorum, 1) - 1] ?? 0, written);
  if (maxAgeMs !== undefined && now - newest > maxAgeMs) {
    findings.add({
      code: "LOG_STALE",
      severity: "fault",
      message: newest === 0
        ? "Nothing in the log has a time"
        : `The newest sign of life is of ${isoTime(newest)}`,
      file: "checkpoint",
    });
  }
}

/** A witness may give any time up to 2^53 seconds; a date has an end before that. */
function isoTime(milliseconds: number): string {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? "no date" : date.toISOString();
}

defineErrors({
  LOG_TIME_BACK: {
    fault: "service",
    retry: false,
    next:
      "A clock was set back, or two processes wrote at once: the order of the entries is right, their times are not.",
  },
  LOG_TIME_AHEAD: {
    fault: "service",
    retry: false,
    next: "Compare the clocks: that one's, or this machine's, is wrong.",
  },
  LOG_STALE: {
    fault: "peer",
    retry: true,
    next: "An old copy is served, or the log stands still: ask whoever runs it.",
  },
  LOG_NOT_VERIFIED: {
    fault: "peer",
    retry: false,
    next: "Keep the files as they are, and ask whoever runs the log.",
  },
});
