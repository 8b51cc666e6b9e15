/**
 * A small production line for the demo and the benchmarks: one station process, a feeder that puts virtual cards on its
 * readers, and what happened to each card.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { CardReport, StationEvent } from "factory/service/station/events.ts";
import type { CardOptions } from "device/card/options.ts";
import { runSpec } from "../commands/station.ts";
import { startChild } from "../process/child.ts";
import type { SpineDescriptor } from "../spine/spine.ts";
import { type CardStats, startFeeder } from "./feeder.ts";

/** A reader: how the station calls it, and where a virtual card attaches. */
export interface LineReader {
  readonly name: string;
  /** `host:port`. */
  readonly address: string;
}

/** What a line needs. */
export interface LineOptions {
  readonly spine: SpineDescriptor;
  readonly batchFile: string;
  readonly readers: readonly LineReader[];
  /** The readers are virtual; otherwise they are PC/SC's. */
  readonly virtual: boolean;
  /** How long a reader has to be empty before the next card, in milliseconds. */
  readonly awayMs: number;
  /** Environment that leads to a PC/SC service of our own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Blank cards in the order in which they are fed, with the file that keeps each one's memory. */
  readonly cards: readonly { readonly stateFile: string; readonly options: CardOptions }[];
  readonly apduDelayMs?: number;
  readonly onEvent?: (event: StationEvent) => void;
  /** Called after each card, with how many are finished. */
  readonly onFinished?: (finished: number) => Promise<void>;
}

/** One card of a line. */
export interface LineCard {
  readonly stateFile: string;
  readonly report: CardReport;
  /** What the card itself counted. */
  readonly card: CardStats;
}

/** What a line did. */
export interface LineResult {
  readonly cards: readonly LineCard[];
  /** Requests that went to the other gateway because one failed. */
  readonly failovers: number;
  /** From the first card's insertion to the last card's end, in milliseconds. */
  readonly milliseconds: number;
}

/** Feeds every card through a station. */
export async function runLine(options: LineOptions): Promise<LineResult> {
  const { spine, readers } = options;
  const spec = runSpec(
    {
      batch: options.batchFile,
      json: true,
      count: String(options.cards.length),
      reader: readers.map(({ name }) => name),
      ...(options.virtual ? { virtualReaders: readers.map(({ address }) => address).join(",") } : {}),
    },
    spine.stationFile,
    options.batchFile,
    spine,
  );
  const station = await startChild({
    ...spec,
    env: { ...spec.env, ...options.env },
    logFile: `${spine.folder}/logs/station.log`,
  });
  // The first line says that the station is ready, and on which batch.
  options.onEvent?.(station.ready as unknown as StationEvent);
  const feeder = await startFeeder({
    cards: `${spine.folder}/cards`,
    slots: readers.map(({ address }) => address),
    apduDelayMs: options.apduDelayMs ?? 0,
    awayMs: options.awayMs,
    logFile: `${spine.folder}/logs/cards.log`,
  });
  const queue = [...options.cards];
  const onReader = new Map<string, { slot: number; stateFile: string }>();
  const finished: LineCard[] = [];
  let failovers = 0;
  const feed = async (slot: number) => {
    const next = queue.shift();
    if (!next) return;
    onReader.set(readers[slot]!.name, { slot, stateFile: next.stateFile });
    await feeder.insert(slot, next.stateFile, next.options);
  };
  const started = performance.now();
  let ended = started;
  try {
    const moving: Promise<void>[] = readers.map((_, slot) => feed(slot));
    for await (const line of station.lines()) {
      const event = JSON.parse(line) as StationEvent;
      if (!("event" in event)) continue;
      options.onEvent?.(event);
      if (event.event === "failover") failovers++;
      if (event.event !== "card") continue;
      ended = performance.now();
      const { slot, stateFile } = onReader.get(event.card.reader)!;
      // Other readers go on while this one is emptied and filled again.
      moving.push((async () => {
        finished.push({ stateFile, report: event.card, card: await feeder.remove(slot) });
        await options.onFinished?.(finished.length);
        await feed(slot);
      })());
    }
    await Promise.all(moving);
    const exitCode = await station.exited;
    if (finished.length < options.cards.length) {
      throw new CodedError(
        "LINE_ENDED",
        `Cannot finish the line: the station ended after ${finished.length} cards (exit code ${exitCode})`,
      );
    }
  } finally {
    await station.stop();
    await feeder.stop();
  }
  return { cards: finished, failovers, milliseconds: ended - started };
}

defineErrors({
  LINE_ENDED: {
    fault: "service",
    retry: true,
    next: "The station's log is in the spine's folder, logs/station.log.",
  },
});
