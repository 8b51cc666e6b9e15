/** Readers and cards as events: one wait without end, restarted after every change; no polling. */

import { codeOf } from "../../base/errors.ts";
import type { ReaderEvent } from "../card_channel.ts";
import { changes, NOTHING, type ReaderState, type Snapshot } from "../reader_service/changes.ts";
import { pause } from "../reader_service/events.ts";
import {
  PCSCLITE_MAX_READERS_CONTEXTS,
  PNP_NOTIFICATION,
  SCARD_STATE_MUTE,
  SCARD_STATE_PRESENT,
  SCARD_STATE_UNAVAILABLE,
  SCARD_STATE_UNAWARE,
  SCARD_STATE_UNKNOWN,
} from "./constants.ts";
import type { KnownStates, WaitOutcome } from "./context.ts";
import type { StateAnswer } from "./reader_states.ts";

/** Waits between attempts to reach a service that is gone, in milliseconds; the last one repeats. */
const BACKOFF_MS = [50, 100, 200, 400, 800, 1_600] as const;
/** When a wait has surely begun on its thread, so that a reader plugged in before it can be looked for. */
const WAIT_HAS_BEGUN_MS = 250;
/** A reader that is leaving may still be listed for a moment. */
const READER_LEAVES_MS = 50;

/** What the watch needs of a context. */
export interface WatchContext {
  listReaders(): Promise<string[]>;
  waitForChange(known: KnownStates, signal: AbortSignal): Promise<WaitOutcome>;
  release(): Promise<void>;
}

/** What the watch needs of its service. */
export interface WatchPorts {
  /** A fresh context, which the watch releases. */
  establish(): Promise<WatchContext>;
  /** Names of the readers, from another context than the one that waits. */
  listReaders(): Promise<string[]>;
}

/**
 * Watches until the signal aborts. When the service goes, everything known is void: after `service-lost` comes
 * nothing until `service-restored`, and then the present state as if the watch had just begun.
 * @throws {CodedError} `PCSC_REFUSED`, `PCSC_FAILED`: what waiting does not mend.
 */
export async function* watchReaders(
  ports: WatchPorts,
  signal: AbortSignal,
): AsyncGenerator<ReaderEvent, void, void> {
  let lost = false;
  for (let failures = 0; !signal.aborted;) {
    let context: WatchContext | undefined;
    try {
      context = await ports.establish();
      for await (const batch of watchContext(context, ports, signal)) {
        failures = 0;
        if (lost) yield { kind: "service-restored" };
        lost = false;
        yield* batch;
      }
    } catch (error) {
      if (signal.aborted) return;
      const code = codeOf(error);
      // A service that dies while it is asked looks like one that refuses: only one that goes on is believed.
      const refused = code === "PCSC_REFUSED" && failures >= BACKOFF_MS.length;
      if (refused || (code !== "PCSC_UNAVAILABLE" && code !== "PCSC_REFUSED")) throw error;
      if (!lost) yield { kind: "service-lost" };
      lost = true;
      await pause(BACKOFF_MS[Math.min(failures++, BACKOFF_MS.length - 1)]!, signal);
    } finally {
      await context?.release();
    }
  }
}

/** Batches of events of one context; the first batch is the present state and may be empty. */
async function* watchContext(
  context: WatchContext,
  ports: WatchPorts,
  signal: AbortSignal,
): AsyncGenerator<ReaderEvent[], void, void> {
  let snapshot: Snapshot = NOTHING;
  let answers: ReadonlyMap<string, StateAnswer> = new Map();
  for (let first = true; !signal.aborted;) {
    // The list is asked before every wait: a reader that came or went is seen without special cases.
    const readers = await context.listReaders();
    if (signal.aborted) return;
    const stayed: Snapshot = new Map([...snapshot].filter(([reader]) => readers.includes(reader)));
    if (stayed.size < snapshot.size) {
      yield changes(snapshot, stayed);
      snapshot = stayed;
      answers = new Map(
        [...answers].filter(([reader]) => reader === PNP_NOTIFICATION || readers.includes(reader)),
      );
    }
    const known = new Map(
      readers.map((reader) => [reader, answers.get(reader)?.eventState ?? SCARD_STATE_UNAWARE]),
    );
    const unseen = readers.some((reader) => !answers.has(reader));
    // A full service can gain no reader, and one entry more would be refused.
    const watchList = readers.length < PCSCLITE_MAX_READERS_CONTEXTS;
    if (watchList) {
      known.set(PNP_NOTIFICATION, answers.get(PNP_NOTIFICATION)?.eventState ?? SCARD_STATE_UNAWARE);
    }
    if (first && readers.length === 0) {
      first = false;
      yield [];
    }
    const outcome = unseen
      ? await context.waitForChange(known, signal)
      : await waitChecked(context, ports, known, readers, signal);
    if (signal.aborted) return;
    if (outcome.kind === "reader-gone") await pause(READER_LEAVES_MS, signal);
    if (outcome.kind !== "changed") continue; // the list differs: ask again
    answers = new Map([...outcome.states].filter(([, answer]) => !isGone(answer)));
    const now: Snapshot = new Map(
      readers.flatMap((reader) => {
        const answer = answers.get(reader);
        return answer ? [[reader, readerState(answer)] as const] : [];
      }),
    );
    const events = changes(snapshot, now);
    snapshot = now;
    if (events.length > 0 || first) yield events;
    first = false;
  }
}

/**
 * One wait. A reader that came between the listing and the moment when the library began to wait would go
 * unnoticed (libpcsclite before 2.3 counts readers when it begins), so the list is compared once more then.
 */
async function waitChecked(
  context: WatchContext,
  ports: WatchPorts,
  known: ReadonlyMap<string, number>,
  readers: readonly string[],
  signal: AbortSignal,
): Promise<WaitOutcome> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  if (signal.aborted) return { kind: "cancelled" };
  signal.addEventListener("abort", abort);
  const check = setTimeout(async () => {
    const now = await ports.listReaders().catch(() => readers); // a lost service ends the wait by itself
    if (now.length !== readers.length || now.some((reader) => !readers.includes(reader))) stop.abort();
  }, WAIT_HAS_BEGUN_MS);
  try {
    return await context.waitForChange(known, stop.signal);
  } finally {
    clearTimeout(check);
    signal.removeEventListener("abort", abort);
  }
}

/** Whether the service no longer knows the reader. */
function isGone(answer: StateAnswer): boolean {
  return (answer.eventState & SCARD_STATE_UNKNOWN) !== 0;
}

function readerState({ eventState, atr }: StateAnswer): ReaderState {
  const present = (eventState & SCARD_STATE_PRESENT) !== 0 && (eventState & SCARD_STATE_UNAVAILABLE) === 0;
  const mute = (eventState & SCARD_STATE_MUTE) !== 0;
  return { present, counter: eventState >>> 16, atr: present && !mute ? atr : new Uint8Array(0) };
}
