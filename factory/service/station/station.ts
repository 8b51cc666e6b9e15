/**
 * A station: many readers, one task for each, no card waits for another. A card that lies on a reader is personalized
 * once; the next work on that reader needs the next card, or the same one presented again.
 */

import { CodedError, codeOf } from "shared/base/errors.ts";
import type { ReaderService } from "shared/transport/card_channel.ts";
import { closeRecord } from "./close_record.ts";
import type { StationContext } from "./context.ts";
import { personalizeCard } from "./engine.ts";
import { cardEntry, operatorOf } from "./event_entries.ts";
import { LineJudge } from "./line_judge.ts";
import { announcePackage } from "./package_announcement.ts";
import type { CardReport } from "./events.ts";
import "shared/transport/card_channel.ts";
import { forgetUnproven } from "./unproven.ts";

/** Wait before a card that another program holds is tried again, in milliseconds. */
const BUSY_RETRY_MS = 250;
/** Times that it is tried again. */
const BUSY_RETRIES = 8;

/** What a run is to do. */
export interface StationRunOptions {
  readonly context: StationContext;
  readonly readers: ReaderService;
  /** Names of readers to use; absent: every one, also those that come later. */
  readonly only?: readonly string[];
  /** End after one card on each reader. */
  readonly once?: boolean;
  /** End after so many cards are good, scrapped or refused. */
  readonly count?: number;
  /** Ends the run when the cards in work are finished. */
  readonly finish: AbortSignal;
  /**
   * One item whenever a person says that stopped work goes on. Absent: nobody is there to say it, and a run in which
   * nothing can be begun any more ends.
   */
  readonly goOn?: AsyncIterable<void>;
  /** The person who started the run has said so already. */
  readonly goOnAtStart?: boolean;
}

/** What a run did. */
export interface StationSummary {
  readonly attested: number;
  readonly failed: number;
  readonly cards: readonly CardReport[];
  /** Why work is stopped, when it is; by reader, empty for the station. */
  readonly stopped?: readonly { readonly reader: string | null; readonly reason: string }[];
}

interface Slot {
  /** A card is there. */
  present: boolean;
  /** Counts insertions, so that a card that was exchanged during work is seen. */
  insertion: number;
  /** The insertion that was worked on. */
  worked: number;
  busy: boolean;
  /** One card was finished here. */
  done: boolean;
  /** Aborts when the card is taken off. */
  away: AbortController;
}

/**
 * Runs until the signal aborts, or what was asked for is done.
 * @throws {CodedError} `READER_UNKNOWN` when a named reader is not connected at the start, `PCSC_UNAVAILABLE`,
 * `LINE_STOPPED` when an earlier stop stands and nobody is there to lift it, `JOURNAL_UNUSABLE` when the journal fails, or
 * an error of the log's when that does: no card is begun then, and those in work are left to be presented again.
 */
export async function runStation(options: StationRunOptions): Promise<StationSummary> {
  return await new Station(options).run();
}

/**
 * Tells the attestation service of every card whose outcome it does not know yet. What cannot be told now stays.
 * @returns how many were told.
 */
export async function reportFinished(context: StationContext): Promise<number> {
  let told = 0;
  for (const card of context.journal.unfinished()) {
    if (card.state === "open" || card.closed) continue;
    try {
      await closeRecord(context, card);
      told++;
    } catch (error) {
      // Carried to another station, which accounts for it since.
      if (codeOf(error) === "ATTEST_STATION_MISMATCH") context.journal.change(card.id, { closed: true });
      context.emit({
        event: "warning",
        code: codeOf(error),
        message: `The end of card ${card.serial} is not told yet: ${(error as Error).message}`,
      });
      if (error instanceof CodedError && error.row.fault === "service") break;
    }
  }
  await context.journal.flush();
  return told;
}

/** Counts cards, not presentations: one that was taken off too early and attested later has not failed. */
export function summarize(cards: readonly CardReport[]): StationSummary {
  const attested = new Set(cards.filter(({ outcome }) => outcome === "attested").map(({ serial }) => serial));
  const failed = cards.filter(({ outcome, serial }) =>
    outcome !== "attested" && !(outcome === "failed" && serial !== null && attested.has(serial))
  );
  return { attested: attested.size, failed: failed.length, cards };
}

class Station {
  readonly #options: StationRunOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #cards: CardReport[] = [];
  readonly #tasks = new Set<Promise<void>>();
  readonly #ended = new AbortController();
  readonly #judge: LineJudge;
  #started = 0;
  /** The journal cannot be written any more. */
  #broken: unknown;

  constructor(options: StationRunOptions) {
    this.#options = options;
    this.#judge = new LineJudge(options.context);
  }

  async run(): Promise<StationSummary> {
    const { context, readers, finish, only } = this.#options;
    const connected = await readers.readers();
    const missing = only?.find((name) => !connected.includes(name));
    if (missing !== undefined) {
      throw new CodedError(
        "READER_UNKNOWN",
        `Cannot use reader ${missing}: connected are ${connected.join(", ") || "none"}`,
      );
    }
    const used = only ?? connected;
    if (this.#options.once && used.length === 0) {
      throw new CodedError("READER_UNKNOWN", "Cannot run once: no reader is connected");
    }
    for (const reader of used) this.#slot(reader);
    await context.events.record("station.ready", {
      actor: operatorOf(context.operator),
      subject: { kind: "batch", identifier: context.batch.batch },
    });
    context.emit({ event: "ready", batch: context.batch.batch, readers: used });
    if (context.loadPlan !== undefined) announcePackage(context.loadPlan, context.emit);
    forgetUnproven(context.journal);
    const open = context.journal.unfinished();
    if (open.length > 0) {
      context.emit({ event: "unfinished", cards: open.map(({ serial, step }) => ({ serial, step })) });
    }
    await reportFinished(context);
    if (this.#options.goOnAtStart) await this.#goOn();
    this.#judge.tellStops();
    if (this.#nothingMayBegin(used)) {
      throw new CodedError(
        "LINE_STOPPED",
        `Cannot begin: work was stopped (${this.#judge.stops()[0]!.reason})`,
      );
    }
    this.#listen();

    const end = AbortSignal.any([finish, this.#ended.signal]);
    for await (const event of readers.watch(end)) {
      if (event.kind === "service-lost" || event.kind === "service-restored") {
        context.emit({ event: event.kind });
        continue;
      }
      if (only !== undefined && !only.includes(event.reader)) continue;
      if (this.#options.once && !this.#slots.has(event.reader)) continue;
      context.emit({ event: event.kind, reader: event.reader });
      const slot = this.#slot(event.reader);
      if (event.kind === "card-inserted") {
        slot.present = true;
        slot.insertion++;
        slot.away = new AbortController();
        this.#start(event.reader, slot);
      } else {
        slot.present = false;
        slot.away.abort();
      }
    }
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    if (this.#broken !== undefined) throw this.#broken;
    await reportFinished(context);
    const stops = this.#judge.stops().map(({ scope, reason }) => ({ reader: scope || null, reason }));
    return { ...summarize(this.#cards), ...(stops.length > 0 ? { stopped: stops } : {}) };
  }

  /** Whether every reader in use is stopped and nobody is there to let it go on. */
  #nothingMayBegin(readers: readonly string[]): boolean {
    if (this.#options.goOn !== undefined || this.#judge.stops().length === 0) return false;
    return readers.every((reader) => this.#judge.stopOf(reader) !== undefined);
  }

  /** A person's act: entered before it counts. */
  async #goOn(): Promise<void> {
    const { events, operator } = this.#options.context;
    if (this.#judge.stops().length === 0) return;
    await events.record("station.resumed", { actor: operatorOf(operator) });
    await this.#judge.goOn();
  }

  /** Waits for a person who lets stopped work go on; cards that lie there are begun then. */
  async #listen(): Promise<void> {
    const { goOn } = this.#options;
    if (goOn === undefined) return;
    for await (const _ of goOn) {
      if (this.#ended.signal.aborted) return;
      await this.#goOn().catch((error) => this.#break(error));
      for (const [name, slot] of this.#slots) this.#start(name, slot);
    }
  }

  /** The journal or the log failed: what it cannot remember must not be done. */
  #break(error: unknown): void {
    if (this.#broken === undefined) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.context.emit({ event: "stopped", reader: null, code: codeOf(error), reason, shared: [] });
    }
    this.#broken ??= error;
    this.#ended.abort();
  }

  #slot(reader: string): Slot {
    let slot = this.#slots.get(reader);
    if (slot === undefined) {
      slot = {
        present: false,
        insertion: 0,
        worked: 0,
        busy: false,
        done: false,
        away: new AbortController(),
      };
      this.#slots.set(reader, slot);
    }
    return slot;
  }

  /** Cards that count: one that will be presented again is not finished. */
  get #finished(): number {
    return this.#cards.filter((card) => card.outcome !== "failed").length;
  }

  #start(reader: string, slot: Slot): void {
    const { once, count, finish } = this.#options;
    if (slot.busy || !slot.present || slot.worked === slot.insertion || finish.aborted) return;
    if (this.#broken !== undefined || this.#judge.stopOf(reader) !== undefined) return;
    if (once && slot.done) return;
    if (count !== undefined && this.#started >= count) return;
    slot.busy = true;
    slot.worked = slot.insertion;
    this.#started++;
    const task = this.#one(reader, slot).catch((error) => this.#break(error)).finally(() => {
      this.#tasks.delete(task);
      slot.busy = false;
      // A card that came while this one was in work, or that had to wait for the count.
      for (const [name, other] of this.#slots) this.#start(name, other);
    });
    this.#tasks.add(task);
  }

  /** One card, from the question whether the journal can be written to what its end means for the line. */
  async #one(reader: string, slot: Slot): Promise<void> {
    const { context, once, count } = this.#options;
    await context.journal.ready();
    const report = await this.#work(reader, slot.away.signal);
    slot.done = true;
    if (report.outcome === "failed") this.#started--;
    const { event, facts } = cardEntry(report, context.operator);
    await context.events.record(event, facts);
    this.#cards.push(report);
    context.emit({ event: "card", card: report });
    if (once && [...this.#slots.values()].every(({ done }) => done)) this.#ended.abort();
    if (count !== undefined && this.#finished >= count) this.#ended.abort();
    await context.journal.ready();
    await this.#judge.saw(report);
    if (this.#nothingMayBegin([...this.#slots.keys()])) this.#ended.abort();
    // A good card whose end could not be told is told as soon as the service answers again.
    if (report.outcome === "attested" && this.#untold()) await reportFinished(context);
  }

  #untold(): boolean {
    return this.#cards.some(({ outcome, step }) => outcome === "failed" && step === "close");
  }

  async #work(reader: string, gone: AbortSignal): Promise<CardReport> {
    const { context, readers } = this.#options;
    const begun = context.clock.monotonic();
    try {
      for (let attempt = 0;; attempt++) {
        try {
          const channel = await readers.connect(reader);
          return await personalizeCard({ context, reader, channel, gone });
        } catch (error) {
          // Desktop programs look at every new card for a moment.
          if (codeOf(error) !== "CARD_BUSY" || attempt >= BUSY_RETRIES) throw error;
          await new Promise((resolve) => setTimeout(resolve, BUSY_RETRY_MS));
        }
      }
    } catch (error) {
      const coded = error instanceof CodedError ? error : undefined;
      return {
        serial: null,
        outcome: "failed",
        reader,
        apdus: 0,
        milliseconds: Math.round(context.clock.monotonic() - begun),
        cardMilliseconds: 0,
        certificateSha256: null,
        reason: codeOf(error),
        message: error instanceof Error ? error.message : String(error),
        next: coded?.row.next ?? null,
        step: "connect",
      };
    }
  }
}
