/**
 * `rk bench station`: what the host costs a card, and how a station grows with its readers. The limit is the chip: a line can
 * be no faster than its cards answer, so the host's part is what is left of the wall time when the card's own is taken off.
 */

import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { type LineCard, runLine } from "../demo/line.ts";
import { demoProfile } from "../demo/profile.ts";
import { pcscReaders, virtualReaders } from "../demo/readers.ts";
import { writePrivate } from "../paths.ts";
import { createBatch } from "../spine/batch.ts";
import { blankCards } from "../spine/card_maker.ts";
import type { Spine } from "../spine/spine.ts";
import { percentile, rounded } from "./statistics.ts";

/** What to measure. */
export interface StationBenchOptions {
  readonly folder: string;
  readonly spine: Spine;
  /** pcscd's readers instead of virtual ones. */
  readonly real: boolean;
  /** Time that a card takes for each APDU, in milliseconds. */
  readonly apduDelayMs: number;
  /** Cards through each reader. */
  readonly cardsPerReader: number;
  readonly tell: (line: string) => void;
}

/** Milliseconds, by percentile. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

/** The result; names are those of the commands that measure. */
export interface StationBench {
  /**
   * The host's work: wall time of a card less its own time, in milliseconds, on one reader with a card that answers at
   * once, so that the host never idles and nothing of its work hides behind the chip.
   */
  readonly hostMsPerCard: Percentiles;
  /** The same beside a chip that takes `apduDelayMs`: with what the machine needs to wake up after each answer. */
  readonly hostMsPerCardAtDelay: Percentiles;
  readonly apdusPerCard: number;
  /** By number of readers. */
  readonly cardsPerMinute: Readonly<Record<string, number>>;
  /** Cards a minute on four readers as a multiple of one. */
  readonly scaling4: number;
  /** What the chip alone would allow on one reader, and the share of it that one reader reached. */
  readonly chipLimit: { readonly cardsPerMinute: number; readonly reached: number };
  readonly apduDelayMs: number;
  readonly transport: "pcsc" | "virtual";
}

const WARM_UP_CARDS = 6;
const HOST_CARDS = 40;

function hostMs(cards: readonly LineCard[]): Percentiles {
  const times = cards.map(({ report, card }) => report.milliseconds - card.cardMs);
  return { p50: rounded(percentile(times, 50)), p99: rounded(percentile(times, 99)) };
}

/** Runs the benchmark. */
export async function benchStation(options: StationBenchOptions): Promise<StationBench> {
  const cardsPerMinute: Record<string, number> = {};
  let single: readonly LineCard[] = [];
  // The first cards pay for connections and for the compiler: they are made, and not counted.
  options.tell(`1 reader, ${HOST_CARDS} cards that answer at once`);
  const atOnce = (await line({ ...options, apduDelayMs: 0 }, 1, WARM_UP_CARDS + HOST_CARDS)).cards.slice(
    WARM_UP_CARDS,
  );
  for (const readers of [1, 2, 4]) {
    const count = readers * options.cardsPerReader;
    options.tell(`${readers} reader${readers === 1 ? "" : "s"}, ${count} cards`);
    const { cards, busyMs } = await line(options, readers, count);
    cardsPerMinute[readers] = rounded(count / busyMs * 60_000);
    if (readers === 1) single = cards;
  }
  const chipMs = percentile(single.map(({ card }) => card.cardMs), 50);
  const limit = 60_000 / chipMs;
  return {
    hostMsPerCard: hostMs(atOnce),
    hostMsPerCardAtDelay: hostMs(single),
    apdusPerCard: percentile(single.map(({ card }) => card.apdus), 50),
    cardsPerMinute,
    scaling4: rounded(cardsPerMinute["4"]! / cardsPerMinute["1"]!, 2),
    chipLimit: {
      cardsPerMinute: rounded(limit),
      reached: rounded(60_000 / percentile(single.map(({ report }) => report.milliseconds), 50) / limit, 2),
    },
    apduDelayMs: options.apduDelayMs,
    transport: options.real ? "pcsc" : "virtual",
  };
}

/** One line run. `busyMs`: time in which the readers worked, without the hand that exchanges cards. */
async function line(
  options: StationBenchOptions,
  readerCount: number,
  cardCount: number,
): Promise<{ cards: readonly LineCard[]; busyMs: number }> {
  const { folder, spine } = options;
  const readers = options.real ? await pcscReaders(readerCount) : virtualReaders(readerCount);
  try {
    const profile = await demoProfile(folder, spine.token.hsm, SYSTEM_RANDOM);
    const batch = await createBatch(spine.descriptor.batchManagerFile, profile, cardCount);
    const batchFile = `${folder}/batch.json`;
    await writePrivate(batchFile, encodeBatchFile(batch));
    const blanks = await blankCards(
      spine.token.hsm,
      SYSTEM_RANDOM,
      `${folder}/cards`,
      batch.batch,
      cardCount,
    );
    const { cards } = await runLine({
      spine: spine.descriptor,
      batchFile,
      ...readers,
      cards: blanks,
      apduDelayMs: options.apduDelayMs,
    });
    const failed = cards.filter(({ report }) => report.outcome !== "attested");
    if (failed.length > 0) throw new Error(`Cannot measure: ${failed.length} cards were not attested`);
    const byReader = new Map<string, number>();
    for (const { report } of cards) {
      byReader.set(report.reader, (byReader.get(report.reader) ?? 0) + report.milliseconds);
    }
    return { cards, busyMs: Math.max(...byReader.values()) };
  } finally {
    await readers.stop();
  }
}
