/** One run of the card tool on a card: reader, trace, guard, keys; and what is told when it fails. */

import { toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import type { ReaderService } from "shared/transport/card_channel.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { Aftermath, Intent } from "../domain/card_tool/aftermath.ts";
import { type KeySource, wipeKeySource } from "../domain/card_tool/key_file.ts";
import { lookAfterFailure } from "../service/card_tool/failure.ts";
import type { ChannelWish } from "../service/card_tool/open.ts";
import { ToolSession } from "../service/card_tool/session.ts";
import { openFailureRecords } from "../transport/card_tool/file_records.ts";
import type { FailureRecords } from "../transport/card_tool/port.ts";
import {
  aidOption,
  type CardToolOptions,
  sameCard,
  shellWords,
  usage,
  versionOption,
} from "./card_tool_arguments.ts";
import { givenKeys, openTrace } from "./card_tool_files.ts";
import { planLines } from "./card_tool_print.ts";
import { chooseReaders, openReaders } from "./station_readers.ts";

/** Where a run prints, and what tests exchange. */
export interface CardToolSurroundings {
  /** Standard output. */
  readonly write: (line: string) => void;
  /** Standard error. */
  readonly complain: (line: string) => void;
  /** Readers instead of PC/SC. */
  readonly readers?: ReaderService;
}

/** What a command works with. */
export interface CardToolRun {
  readonly options: CardToolOptions;
  readonly words: readonly string[];
  readonly session: ToolSession;
  readonly reader: string;
  readonly wish: ChannelWish;
  readonly records: FailureRecords;
  /** Told as soon as a change may have begun. */
  readonly begin: (intent: Intent) => void;
  /** A line for people; on standard error with `--json`. */
  readonly say: (line: string) => void;
}

/** What a command came to. */
export interface CardToolResult {
  readonly report: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
  /** A failure that comes after the report, such as a replay that differs. */
  readonly failure?: CodedError;
}

/** Commands that are there to change a card. */
const CHANGING = /^(load|install|delete|lock|unlock|keys put|keys delete)\b/;
const UNCHANGED: Aftermath = { state: ["nothing on the card was changed"], cleanUp: [] };

/** Longest wait for a card on a virtual reader, which attaches itself. */
const VIRTUAL_CARD_WAIT_MS = 10_000;

async function waitForCard(service: ReaderService, reader: string): Promise<void> {
  const found = new AbortController();
  const timer = setTimeout(() => found.abort(), VIRTUAL_CARD_WAIT_MS);
  try {
    for await (const event of service.watch(found.signal)) {
      if (event.kind === "card-inserted" && event.reader === reader) return;
    }
  } finally {
    clearTimeout(timer);
    found.abort();
  }
}

function chooseReader(connected: readonly string[], asked: string | undefined): string {
  if (asked !== undefined) return chooseReaders(connected, [asked])[0]!;
  if (connected.length === 1) return connected[0]!;
  throw new CodedError(
    "READER_UNKNOWN",
    connected.length === 0
      ? "Cannot find a reader: none is connected"
      : `Cannot choose a reader: there are ${connected.join(", ")}; give --reader`,
  );
}

function wishOf(options: CardToolOptions, keys: KeySource | undefined): ChannelWish {
  const domain = aidOption(options.domain, "--domain");
  const keyVersion = versionOption(options["key-version"]);
  const { mode, level } = options;
  if (mode !== undefined && mode !== "S8" && mode !== "S16") {
    throw usage("Cannot use --mode: it is S8 or S16");
  }
  return {
    keys,
    ...(domain === undefined ? {} : { domain }),
    ...(keyVersion === undefined ? {} : { keyVersion }),
    ...(level === undefined ? {} : { level: /^[0-9A-Fa-f]{2}$/.test(level) ? parseInt(level, 16) : NaN }),
    ...(mode === undefined ? {} : { mode }),
  };
}

/** Runs a command on the card. @returns the exit code. */
export async function runOnCard(
  options: CardToolOptions,
  words: readonly string[],
  command: (run: CardToolRun) => Promise<CardToolResult>,
  surroundings: CardToolSurroundings,
): Promise<number> {
  const { write } = surroundings;
  const say = options.json ? surroundings.complain : write;
  if (options.state === undefined) throw usage("Cannot run: --state is missing");
  const keys = givenKeys(options);
  const trace = options.trace === undefined ? undefined : openTrace(options.trace);
  const opened = surroundings.readers === undefined
    ? await openReaders(options["virtual-readers"])
    : undefined;
  const service = surroundings.readers ?? opened!.service;
  try {
    const reader = chooseReader(await service.readers(), options.reader);
    if (options["virtual-readers"] !== undefined) await waitForCard(service, reader);
    const channel = await service.connect(reader);
    const records = openFailureRecords(options.state);
    const begun = SYSTEM_CLOCK.monotonic();
    trace?.write({
      kind: "trace",
      format: 1,
      time: new Date(SYSTEM_CLOCK.now()).toISOString(),
      command: `rk card ${words.join(" ")}`.slice(0, 200),
      reader,
      atr: toHex(channel.atr),
    });
    const session = new ToolSession({
      channel,
      clock: SYSTEM_CLOCK,
      random: SYSTEM_RANDOM,
      records,
      retryAuthentication: options["retry-authentication"] ?? false,
      dryRun: options["dry-run"] ?? false,
      ...(trace === undefined ? {} : { trace: (line) => trace.write(line) }),
    });
    let intent: Intent | undefined;
    const wish = wishOf(options, keys);
    try {
      const result = await command({
        options,
        words,
        session,
        reader,
        wish,
        records,
        begin: (what) => intent = what,
        say,
      });
      if (session.dryRun) {
        for (const line of planLines(session.planned)) say(line);
        if (options.json) write(JSON.stringify({ dryRun: true, commands: session.planned }));
        return EXIT_CODES.ok;
      }
      for (const line of result.lines) say(line);
      const counted = {
        apdus: session.apdus,
        milliseconds: rounded(SYSTEM_CLOCK.monotonic() - begun),
        cardMilliseconds: rounded(session.cardMilliseconds),
      };
      if (result.failure !== undefined) {
        return explain(result.failure, options, surroundings, { ...result.report, ...counted });
      }
      if (options.json) write(JSON.stringify({ ...result.report, ...counted }));
      return EXIT_CODES.ok;
    } catch (error) {
      const left = await lookAfterFailure(session, intent, wish) ??
        (CHANGING.test(words.join(" ")) && !session.changed ? UNCHANGED : undefined);
      return explain(error, options, surroundings, {}, left);
    } finally {
      await session.close();
    }
  } finally {
    await opened?.service.close();
    trace?.close();
    wipeKeySource(keys);
  }
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Tells a failure, and what it left on the card. @returns the exit code. */
export function explain(
  error: unknown,
  options: CardToolOptions,
  { write, complain }: CardToolSurroundings,
  report: Readonly<Record<string, unknown>> = {},
  left?: Aftermath,
): number {
  const code = codeOf(error);
  const row = errorRow(code);
  const message = error instanceof Error ? error.message : String(error);
  const exitCode = EXIT_CODES[row.fault];
  const cleanUp = (left?.cleanUp ?? []).map((words) =>
    `rk card ${shellWords([...words, ...sameCard(options)])}`
  );
  complain(`rk: ${message}`);
  complain(`    ${row.next}`);
  if (left !== undefined) {
    for (const line of left.state) complain(`    Left as it is: ${line}.`);
    for (const line of cleanUp) complain(`    Clean up:      ${line}`);
    if (cleanUp.length === 0) complain("    Nothing to clean up.");
  }
  if (options.json) {
    write(JSON.stringify({
      ...report,
      error: { code, message, next: row.next },
      ...(left === undefined ? {} : { left: { state: left.state, cleanUp } }),
      exitCode,
    }));
  }
  return exitCode;
}
