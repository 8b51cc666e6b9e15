/**
 * Entries of what strangers can cause as often as they like. The first of its kind, actor, subject and reason is written at once;
 * those that follow within a minute are counted, and one entry with their number is written at its end. However many strangers
 * there are, an event has at most {@link COUNTED_MAX} entries of single ones a minute and one for all others together.
 */

import { CodedError } from "../../base/errors.ts";
import type { EventName, PseudonymKind } from "../events.ts";
import type { EventFacts, Identified } from "../recorder.ts";

/** Length of the interval in milliseconds. */
export const COUNTED_INTERVAL_MS = 60_000;
/** Wait before entries that could not be written are tried again, in milliseconds. */
const RETRY_MS = 1_000;
/** Different things of one event that are told apart in an interval. */
export const COUNTED_MAX = 16;
/** Identifier of everybody who is not told apart. */
export const OTHERS = "others";

/** Facts that can be counted. */
export type CountedFacts = Omit<EventFacts, "count" | "attachment">;

/** What it works with. */
export interface CountedEventsOptions {
  /** Writes an entry; a failure keeps what was counted for the next interval. */
  readonly record: (event: EventName, facts: EventFacts) => Promise<unknown>;
  readonly onFailure: (error: unknown) => void;
  readonly intervalMs?: number;
}

interface Counted {
  readonly event: EventName;
  readonly facts: CountedFacts;
  /** Those that no entry tells of yet. */
  waiting: number;
}

/** Counts and writes; see the module's comment. */
export class CountedEvents {
  readonly #options: CountedEventsOptions;
  #counted = new Map<string, Counted>();
  #distinct = new Map<EventName, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #writing: Promise<void> = Promise.resolve();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #failing = false;

  constructor(options: CountedEventsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.flush(), options.intervalMs ?? COUNTED_INTERVAL_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** Whether the last entry could not be written. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Takes what happened. Never waits, never throws. */
  tell(event: EventName, facts: CountedFacts): void {
    let key = keyOf(event, facts);
    let counted = this.#counted.get(key);
    if (counted === undefined) {
      const distinct = this.#distinct.get(event) ?? 0;
      if (distinct < COUNTED_MAX) {
        this.#distinct.set(event, distinct + 1);
        counted = { event, facts, waiting: 0 };
        this.#counted.set(key, counted);
        counted.waiting++;
        return this.#write(counted);
      }
      // One more than can be told apart: all of them are one, with what they have in common.
      const all: CountedFacts = {
        actor: others(facts.actor),
        outcome: facts.outcome ?? "done",
      };
      key = keyOf(event, all);
      counted = this.#counted.get(key) ?? { event, facts: all, waiting: 0 };
      this.#counted.set(key, counted);
    }
    counted.waiting++;
  }

  /** Writes what was counted, and begins an interval. */
  flush(): Promise<void> {
    const before = this.#counted;
    this.#counted = new Map();
    this.#distinct = new Map();
    for (const counted of before.values()) if (counted.waiting > 0) this.#write(counted);
    return this.#writing;
  }

  /** Writes what was counted, once, and ends. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    clearTimeout(this.#retry);
  }

  #write(counted: Counted): void {
    const { event, facts } = counted;
    const count = counted.waiting;
    counted.waiting = 0;
    const entry = count > 1 ? { ...facts, count } : facts;
    const written = this.#options.record(event, entry).then(() => {
      this.#failing = false;
    }, (error) => {
      // One that does not fit the table never will.
      if (error instanceof CodedError && error.row.fault === "bug") return this.#options.onFailure(error);
      this.#keep(counted, count);
      this.#failing = true;
      this.#options.onFailure(error);
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => void this.flush(), RETRY_MS);
      Deno.unrefTimer(this.#retry);
    });
    this.#writing = Promise.all([this.#writing, written]).then(() => {});
  }

  /** Could not be written: it waits for the end of the interval. */
  #keep(counted: Counted, count: number): void {
    const key = keyOf(counted.event, counted.facts);
    const present = this.#counted.get(key);
    if (present === undefined) {
      // The number of what waits stays bounded while the log cannot be written.
      if (this.#counted.size < 4 * COUNTED_MAX) this.#counted.set(key, { ...counted, waiting: count });
    } else present.waiting += count;
  }
}

function others(identified: Identified): { kind: PseudonymKind; identifier: string } {
  return { kind: identified.kind, identifier: OTHERS };
}

function keyOf(event: EventName, { actor, subject, outcome, reason, ticket }: CountedFacts): string {
  return JSON.stringify([
    event,
    actor.kind,
    actor.identifier,
    subject?.kind,
    subject?.identifier,
    outcome,
    reason,
    ticket,
  ]);
}
