/**
 * What goes on, for the status page: rates of the last minute, refusals by reason, and who talks most. Memory is bounded whatever
 * comes: a minute of counts, a thousand latencies, and the clients of the largest counts (space-saving, Metwally and others 2005).
 */

import type { Clock } from "shared/transport/clock.ts";

/** Clients that are remembered; a client whose share is above 1/256 is among them for certain. */
export const MAX_TALKERS = 256;
const SECONDS = 60;
const LATENCIES = 1_024;

/** One client. */
export interface Talker {
  readonly identity: string;
  /** Requests; at most `above` too many. */
  readonly requests: number;
  readonly above: number;
  readonly refused: number;
  readonly bytes: number;
}

/** One reason with its counts. */
export interface ReasonCount {
  readonly reason: string;
  readonly lastMinute: number;
  readonly total: number;
}

/** A look at it. */
export interface ActivityView {
  /** Means of the last whole minute, or of as much of it as there was. */
  readonly requestsPerSecond: number;
  readonly refusedPerSecond: number;
  readonly faultsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly totalRequests: number;
  readonly refusals: readonly ReasonCount[];
  readonly connectionRefusals: readonly ReasonCount[];
  readonly talkers: readonly Talker[];
}

/** Counts by name in seconds of the last minute. */
class Minute {
  readonly #slots: { second: number; counts: Map<string, number> }[] = Array.from(
    // One more: the second that goes on is not part of the minute.
    { length: SECONDS + 1 },
    () => ({ second: -1, counts: new Map() }),
  );
  readonly totals = new Map<string, number>();

  add(second: number, name: string): void {
    const slot = this.#slots[second % this.#slots.length]!;
    if (slot.second !== second) {
      slot.second = second;
      slot.counts.clear();
    }
    slot.counts.set(name, (slot.counts.get(name) ?? 0) + 1);
    this.totals.set(name, (this.totals.get(name) ?? 0) + 1);
  }

  /** Counts of the last minute without the second that goes on. */
  sums(second: number): Map<string, number> {
    const sums = new Map<string, number>();
    for (const slot of this.#slots) {
      if (slot.second >= second || slot.second < second - SECONDS) continue;
      for (const [name, count] of slot.counts) sums.set(name, (sums.get(name) ?? 0) + count);
    }
    return sums;
  }

  list(second: number): ReasonCount[] {
    const recent = this.sums(second);
    return [...this.totals].map(([reason, total]) => ({ reason, total, lastMinute: recent.get(reason) ?? 0 }))
      .sort((a, b) => b.lastMinute - a.lastMinute || b.total - a.total);
  }
}

/** What a request adds. Reasons and classes are from tables: their number is bounded. */
export interface ActivityRequest {
  readonly identity?: string;
  readonly status: number;
  readonly ms: number;
  readonly reason?: string;
  readonly bytes?: number;
}

/** The activity of one gateway. */
export class Activity {
  readonly #began: number;
  readonly #classes = new Minute();
  readonly #refusals = new Minute();
  readonly #connections = new Minute();
  readonly #latencies = new Float64Array(LATENCIES);
  #measured = 0;
  readonly #talkers = new Map<string, { requests: number; above: number; refused: number; bytes: number }>();

  constructor(readonly clock: Clock) {
    this.#began = this.#second();
  }

  #second(): number {
    return Math.floor(this.clock.monotonic() / 1000);
  }

  /** A request is over. */
  request(request: ActivityRequest): void {
    const second = this.#second();
    const { reason, status } = request;
    this.#classes.add(second, "all");
    if (reason !== undefined) {
      this.#refusals.add(second, reason);
      this.#classes.add(second, "refused");
    }
    if (status >= 500) this.#classes.add(second, "fault");
    this.#latencies[this.#measured++ % LATENCIES] = request.ms;
    if (request.identity !== undefined) this.#talk(request.identity, request);
  }

  #talk(identity: string, { reason, bytes = 0 }: ActivityRequest): void {
    let talker = this.#talkers.get(identity);
    if (talker === undefined) {
      let above = 0;
      if (this.#talkers.size >= MAX_TALKERS) {
        // The smallest gives its place, and its count as what the new one may have too many.
        let [smallest, least] = ["", Infinity];
        for (const [name, { requests }] of this.#talkers) {
          if (requests < least) [smallest, least] = [name, requests];
        }
        this.#talkers.delete(smallest);
        above = least;
      }
      talker = { requests: above, above, refused: 0, bytes: 0 };
      this.#talkers.set(identity, talker);
    }
    talker.requests++;
    talker.bytes += bytes;
    if (reason !== undefined) talker.refused++;
  }

  /** A connection was refused before any request. */
  connectionRefused(reason: string): void {
    this.#connections.add(this.#second(), reason);
  }

  /** How things are now; `talkers`: so many of the largest. */
  view(talkers = 10): ActivityView {
    const second = this.#second();
    const sums = this.#classes.sums(second);
    const seconds = Math.min(SECONDS, Math.max(1, second - this.#began));
    const rate = (name: string) => Math.round((sums.get(name) ?? 0) / seconds * 100) / 100;
    const sorted = this.#latencies.slice(0, Math.min(this.#measured, LATENCIES)).sort();
    const at = (share: number) =>
      sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
    return {
      requestsPerSecond: rate("all"),
      refusedPerSecond: rate("refused"),
      faultsPerSecond: rate("fault"),
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      totalRequests: this.#classes.totals.get("all") ?? 0,
      refusals: this.#refusals.list(second),
      connectionRefusals: this.#connections.list(second),
      talkers: [...this.#talkers].map(([identity, talker]) => ({ identity, ...talker }))
        .sort((a, b) => b.requests - a.requests).slice(0, talkers),
    };
  }
}
