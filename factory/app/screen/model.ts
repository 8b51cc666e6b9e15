/** What a station's screen shows, as a value that each event changes. No terminal here. */

import type { CardReport, StationEvent } from "../../service/station/events.ts";

/** One reader on the screen. */
export interface ReaderView {
  readonly reader: string;
  readonly state: "empty" | "working" | "done" | "again" | "failed" | "stopped";
  /** What happens, or what to do. */
  readonly words: string;
  /** Part of the steps that are done, 0 to 1. */
  readonly progress: number;
  readonly serial: string | null;
  /** Why no card is begun here; empty while cards are. Shown as soon as the card in work has ended. */
  readonly stopped: string;
}

/** The whole screen. */
export interface StationView {
  readonly batch: string;
  readonly readers: readonly ReaderView[];
  readonly attested: number;
  readonly scrapped: number;
  readonly refused: number;
  /** Presentations that have to be repeated. */
  readonly repeated: number;
  /** Milliseconds (monotonic) at which the last cards were attested, for the rate. */
  readonly attestedAt: readonly number[];
  readonly notice: string;
  /** What is loaded, in a few words; empty when nothing is. */
  readonly package: string;
  readonly serviceLost: boolean;
}

/** Cards that the rate is taken over. */
const RATE_CARDS = 20;

/** An empty screen. */
export const EMPTY_VIEW: StationView = {
  batch: "",
  readers: [],
  attested: 0,
  scrapped: 0,
  refused: 0,
  repeated: 0,
  attestedAt: [],
  notice: "",
  package: "",
  serviceLost: false,
};

const EMPTY_READER = {
  state: "empty",
  words: "put a card on the reader",
  progress: 0,
  serial: null,
  stopped: "",
} as const;

/** What lifts a stop, for the screen. */
const GO_ON = "When the cause is removed: press G, then Y.";

function change(view: StationView, reader: string, changed: Partial<ReaderView>): StationView {
  const known = view.readers.some((one) => one.reader === reader);
  const readers = known ? view.readers : [...view.readers, { reader, ...EMPTY_READER }];
  return { ...view, readers: readers.map((one) => one.reader === reader ? { ...one, ...changed } : one) };
}

function finished(view: StationView, card: CardReport, now: number): StationView {
  const words = card.outcome === "attested"
    ? "take the card off"
    : `${card.message ?? ""}. ${card.next ?? ""}`;
  const stopped = view.readers.find(({ reader }) => reader === card.reader)?.stopped ?? "";
  const state = card.outcome === "attested" ? "done" : card.outcome === "failed" ? "again" : "failed";
  const next = change(view, card.reader, {
    state: stopped === "" ? state : "stopped",
    words: stopped === "" ? words : `This card: ${card.outcome}. ${stopped}`,
    progress: 1,
    serial: card.serial,
  });
  switch (card.outcome) {
    case "attested":
      return {
        ...next,
        attested: next.attested + 1,
        attestedAt: [...next.attestedAt, now].slice(-RATE_CARDS),
      };
    case "scrapped":
      return { ...next, scrapped: next.scrapped + 1 };
    case "refused":
      return { ...next, refused: next.refused + 1 };
    default:
      return { ...next, repeated: next.repeated + 1 };
  }
}

/** The screen after an event. @param now milliseconds, monotonic. */
export function afterEvent(view: StationView, event: StationEvent, now: number): StationView {
  switch (event.event) {
    case "ready":
      return event.readers.reduce((next, reader) => change(next, reader, {}), {
        ...view,
        batch: event.batch,
      });
    case "package": {
      const { name, aid, version, loadFileDataBlockHash: hash, signedBy } = event.package;
      const words = `${name ?? aid} ${version} ${hash.slice(0, 8)}`;
      return { ...view, package: signedBy === null ? `UNSIGNED ${words}` : words };
    }
    case "reader-added":
      return change(view, event.reader, {});
    case "reader-removed":
      return { ...view, readers: view.readers.filter(({ reader }) => reader !== event.reader) };
    case "card-inserted":
      if (view.readers.some(({ reader, stopped }) => reader === event.reader && stopped !== "")) return view;
      return change(view, event.reader, {
        state: "working",
        words: "looking at the card",
        progress: 0,
        serial: null,
      });
    case "card-removed": {
      // A failure stays to be read until the next card comes.
      const state = view.readers.find(({ reader }) => reader === event.reader)?.state;
      return state === "failed" || state === "again" || state === "stopped"
        ? view
        : change(view, event.reader, EMPTY_READER);
    }
    case "step":
      return change(view, event.reader, {
        state: "working",
        words: event.words,
        progress: event.position / (event.steps + 1),
        serial: event.serial,
      });
    case "waiting":
      return change(view, event.reader, {
        state: "working",
        words:
          `waiting for the attestation service (${event.seconds} s): leave the card on the reader. ${event.message}`,
      });
    case "card":
      return finished(view, event.card, now);
    case "stopped": {
      const words = event.code === "JOURNAL_UNUSABLE"
        ? `${event.reason}. No card is begun: see what the station says when it ends.`
        : `${event.reason}. ${GO_ON}`;
      const held = view.readers.filter(({ reader }) => event.reader === null || reader === event.reader);
      return held.reduce((next, { reader, state }) =>
        change(next, reader, {
          stopped: words,
          // A card in work is finished first.
          ...(state === "working" ? {} : { state: "stopped", words }),
        }), view);
    }
    case "resumed": {
      const held = view.readers.filter(({ reader }) => event.reader === null || reader === event.reader);
      return held.reduce(
        (next, { reader, state }) =>
          change(next, reader, state === "stopped" ? EMPTY_READER : { stopped: "" }),
        view,
      );
    }
    case "service-lost":
      return { ...view, serviceLost: true };
    case "service-restored":
      return { ...view, serviceLost: false };
    case "unfinished":
      return {
        ...view,
        notice: `${event.cards.length} cards of earlier runs are unfinished: present them again`,
      };
    case "failover":
      return { ...view, notice: `gateway ${event.gateway} does not answer: using the other one` };
    case "warning":
      return { ...view, notice: event.message };
  }
}

/** A rate over less time says nothing: cards of several readers end together. */
const RATE_SPAN_MS = 10_000;

/** Attested cards a minute over the last cards; undefined in the first seconds. */
export function cardsPerMinute(view: StationView): number | undefined {
  const first = view.attestedAt[0];
  const last = view.attestedAt.at(-1);
  if (first === undefined || last === undefined || last - first < RATE_SPAN_MS) return undefined;
  return (60_000 * (view.attestedAt.length - 1)) / (last - first);
}

/** Good cards among those that are finished, in percent; undefined before the first one. */
export function yieldPercent(view: StationView): number | undefined {
  const all = view.attested + view.scrapped;
  return all === 0 ? undefined : (100 * view.attested) / all;
}
