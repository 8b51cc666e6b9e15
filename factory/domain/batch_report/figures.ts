/** The figures of a batch: what the service counted, added up for people. */

import type { BatchGroup, BatchReportAnswer } from "shared/protocol/wire/batch.ts";

const HOUR_MS = 3_600_000;
const IN_FLIGHT: readonly BatchGroup["state"][] = ["reserved", "key-seen", "attested", "installed"];

/** Figures of a batch or of one station in it. */
export interface Figures {
  /** Serials that cards were given: the sum of the others. */
  readonly reserved: number;
  readonly good: number;
  readonly scrapped: number;
  readonly missing: number;
  readonly inFlight: number;
  /** Good of a hundred that ended good or scrapped; null while none did. */
  readonly yieldPercent: number | null;
  /** Cards that ended, by the hour: from the first reservation to the last closure. Null while none did. */
  readonly cardsPerHour: number | null;
  /** Cards that ended within the last hour. */
  readonly lastHour: number;
}

/** Cards that ended badly for one reason. */
export interface ReasonFigures {
  readonly state: "scrapped" | "missing";
  readonly reason: string;
  readonly cards: number;
  readonly stations: Readonly<Record<string, number>>;
}

/** Everything that a report says in figures. */
export interface BatchFigures {
  readonly all: Figures;
  /** By name. */
  readonly stations: Readonly<Record<string, Figures>>;
  /** Most cards first. */
  readonly reasons: readonly ReasonFigures[];
  /** Serials that no card has. */
  readonly unused: number;
  /** Whether quantity = good + scrapped + missing + in flight + unused. */
  readonly adds: boolean;
}

/** Adds up a report. */
export function figuresOf(
  report: Pick<BatchReportAnswer, "groups" | "quantity" | "nextSerial" | "lastSerial">,
): BatchFigures {
  const { groups, quantity, nextSerial, lastSerial } = report;
  const names = [...new Set(groups.map(({ station }) => station))].sort();
  const unused = nextSerial === null ? 0 : parseInt(lastSerial, 16) - parseInt(nextSerial, 16) + 1;
  const all = figures(groups);
  const reasons = new Map<
    string,
    { state: "scrapped" | "missing"; reason: string; stations: Record<string, number> }
  >();
  for (const { state, reason, station, cards } of groups) {
    if (state !== "scrapped" && state !== "missing") continue;
    const key = `${state} ${reason}`;
    const known = reasons.get(key) ?? { state, reason: reason ?? "", stations: {} };
    known.stations[station] = (known.stations[station] ?? 0) + cards;
    reasons.set(key, known);
  }
  return {
    all,
    stations: Object.fromEntries(
      names.map((name) => [name, figures(groups.filter(({ station }) => station === name))]),
    ),
    reasons: [...reasons.values()]
      .map((one) => ({ ...one, cards: sum(Object.values(one.stations)) }))
      .sort((a, b) => b.cards - a.cards),
    unused,
    adds: all.reserved + unused === quantity,
  };
}

function figures(groups: readonly BatchGroup[]): Figures {
  const of = (...states: BatchGroup["state"][]) =>
    sum(groups.filter(({ state }) => states.includes(state)).map(({ cards }) => cards));
  const good = of("good");
  const scrapped = of("scrapped");
  const ended = good + scrapped;
  const begins = groups.map(({ firstReservedAt }) => Date.parse(firstReservedAt));
  const ends = groups.flatMap(({ lastClosedAt }) => lastClosedAt === null ? [] : [Date.parse(lastClosedAt)]);
  const spanMs = ends.length === 0 ? 0 : Math.max(...ends) - Math.min(...begins);
  return {
    reserved: sum(groups.map(({ cards }) => cards)),
    good,
    scrapped,
    missing: of("missing"),
    inFlight: of(...IN_FLIGHT),
    yieldPercent: ended === 0 ? null : Math.round(1000 * good / ended) / 10,
    cardsPerHour: spanMs <= 0 ? null : Math.round(10 * ended * HOUR_MS / spanMs) / 10,
    lastHour: sum(groups.map(({ lastHour }) => lastHour)),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
