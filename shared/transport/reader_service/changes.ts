/**
 * Reader states to events, as a pure function. Adapters compare two snapshots instead of queueing events:
 * a slow watcher costs no memory, and what it missed in between it still learns from the counter.
 */

import type { ReaderEvent } from "../card_channel.ts";

/** One reader at one moment. */
export interface ReaderState {
  readonly present: boolean;
  /** Counts insertions and removals, so that a card swapped between two looks is noticed. */
  readonly counter: number;
  /** Answer to reset; empty when there is no card, or one that does not answer. */
  readonly atr: Uint8Array;
}

/** Every reader at one moment, by name. */
export type Snapshot = ReadonlyMap<string, ReaderState>;

/** Nothing known yet: every reader is new. */
export const NOTHING: Snapshot = new Map();

/** What happened between two snapshots, readers that went first. A reader that goes takes its card along. */
export function changes(before: Snapshot, now: Snapshot): ReaderEvent[] {
  const events: ReaderEvent[] = [];
  for (const [reader, state] of before) {
    if (now.has(reader)) continue;
    if (state.present) events.push({ kind: "card-removed", reader });
    events.push({ kind: "reader-removed", reader });
  }
  for (const [reader, state] of now) {
    const old = before.get(reader);
    if (old === undefined) events.push({ kind: "reader-added", reader });
    const swapped = old?.present === true && state.present && old.counter !== state.counter;
    if (old?.present === true && (swapped || !state.present)) events.push({ kind: "card-removed", reader });
    if (state.present && (old?.present !== true || swapped)) {
      events.push({ kind: "card-inserted", reader, atr: state.atr });
    }
  }
  return events;
}
