/** Bytes that leave the gateway, by destination: counted, compared with what is usual, and told when they are too many. */

import { type Baseline, NEW_BASELINE, observeWindow, type OutboundRule } from "../domain/outbound.ts";

/** Most destinations; routes and instances of a configuration are far fewer. What comes later is counted as `other`. */
export const MAX_DESTINATIONS = 1_000;

/** One destination as it is shown. */
export interface OutboundState {
  /** `route NAME`: answers to clients; `upstream POOL HOST:PORT`: requests to an instance. */
  readonly destination: string;
  readonly totalBytes: number;
  /** Bytes of the last whole window. */
  readonly windowBytes: number;
  readonly baselineBytes: number;
  readonly allowedBytes: number;
  readonly alarmed: boolean;
}

interface Entry {
  total: number;
  current: number;
  last: number;
  allowed: number;
  baseline: Baseline;
}

/** The counts. */
export class Outbound {
  readonly #entries = new Map<string, Entry>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param changed Told of each alarm that is raised or cleared. */
  constructor(
    readonly rule: OutboundRule,
    readonly changed: (change: "raised" | "cleared", state: OutboundState) => void,
    /** Told of every window of every destination. */
    readonly looked: (state: OutboundState, sentBytes: number) => void = () => {},
  ) {}

  /** Bytes were sent. */
  add(destination: string, bytes: number): void {
    if (bytes <= 0) return;
    const entry = this.#entry(destination);
    entry.total += bytes;
    entry.current += bytes;
  }

  #entry(destination: string): Entry {
    const name = this.#entries.has(destination) || this.#entries.size < MAX_DESTINATIONS
      ? destination
      : "other";
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { total: 0, current: 0, last: 0, allowed: this.rule.ceilingBytes, baseline: NEW_BASELINE };
      this.#entries.set(name, entry);
    }
    return entry;
  }

  /** Begins to look at windows. */
  start(): void {
    this.#timer = setInterval(() => this.look(), this.rule.windowSeconds * 1000);
  }

  /** Ends looking. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** A window is over. */
  look(): void {
    for (const [destination, entry] of this.#entries) {
      const bytes = entry.current;
      const decision = observeWindow(this.rule, entry.baseline, bytes);
      entry.baseline = decision.baseline;
      entry.allowed = decision.allowedBytes;
      entry.last = bytes;
      entry.current = 0;
      const state = stateOf(destination, entry);
      this.looked(state, bytes);
      if (decision.change !== undefined) this.changed(decision.change, state);
    }
  }

  /** All destinations, those with the most bytes first. */
  states(): OutboundState[] {
    return [...this.#entries].map(([destination, entry]) => stateOf(destination, entry))
      .sort((a, b) => b.totalBytes - a.totalBytes);
  }
}

function stateOf(destination: string, entry: Entry): OutboundState {
  return {
    destination,
    totalBytes: entry.total,
    windowBytes: entry.last,
    baselineBytes: Math.round(entry.baseline.meanBytes),
    allowedBytes: Math.round(entry.allowed),
    alarmed: entry.baseline.alarmed,
  };
}
