/**
 * Every tear at every APDU: one run is recorded, then each of its APDUs is torn in each way on a card of its own, and the card
 * is presented once more, as an operator does. What became of the cards is asked of the cards and of the database (`audit`).
 */

import { toHex } from "shared/base/bytes.ts";
import type { VirtualCard } from "device/card/virtual_card.ts";
import { AUTHENTICATION_FAILURES } from "factory/domain/personalization/failure.ts";
import type { CardReport } from "factory/service/station/events.ts";
import type { Line } from "./line.ts";
import type { Chance } from "./seed.ts";
import { type Tear, TEAR_KINDS, tornChannel } from "./tear.ts";

/** One APDU of the recorded trace. */
export interface TracePoint {
  readonly index: number;
  /** Step of the sequence that sent it. */
  readonly step: string;
  /** CLA and INS, 2 bytes of hex. */
  readonly command: string;
}

/** A card that was torn, and how its presentations ended. */
export interface TornCard {
  readonly tear: Tear;
  readonly card: VirtualCard;
  /** The presentations; the last one decides. */
  readonly reports: readonly CardReport[];
  /** Whether the tear happened: a run can end before it. */
  readonly torn: boolean;
}

/** Personalizes one card and records which APDUs that takes. The card must end attested. */
export async function recordTrace(
  line: Line,
): Promise<{ trace: TracePoint[]; card: VirtualCard; report: CardReport }> {
  const card = await line.blank();
  const trace: TracePoint[] = [];
  let step = "look";
  const channel = tornChannel(card, undefined, (command, index) => {
    trace.push({ index, step, command: toHex(command.slice(0, 2)) });
  });
  const report = await line.present(channel, "recorder", {
    emit: (event) => {
      if (event.event === "step") step = event.step;
    },
  });
  return { trace, card, report };
}

/** Every tear of a trace, in an order of chance. */
export function everyTear(trace: readonly TracePoint[], chance: Chance): Tear[] {
  const tears = trace.flatMap(({ index }) =>
    TEAR_KINDS.map((kind): Tear => ({ kind, index, position: chance.below(2 ** 16) }))
  );
  return chance.shuffled(tears);
}

/**
 * Presents a card with a tear, and once more unless it is finished. The operator does what the first report says: a card
 * whose authentication failed is presented with the explicit permission to try its keys again.
 */
export async function tearOnce(line: Line, reader: string, tear: Tear): Promise<TornCard> {
  const card = await line.blank();
  const channel = tornChannel(card, tear);
  const first = await line.present(channel, reader);
  const { torn } = channel;
  if (isFinal(first)) return { tear, card, reports: [first], torn };
  const second = await line.present(tornChannel(card), reader, {
    retryAuthentication: first.reason !== null && AUTHENTICATION_FAILURES.has(first.reason),
  });
  return { tear, card, reports: [first, second], torn };
}

/** Whether a presentation settled the card. */
export function isFinal({ outcome }: CardReport): boolean {
  return outcome === "attested" || outcome === "scrapped";
}

/** Runs work on several readers at once: what one waits for, another uses. */
export async function onReaders<T, R>(
  readers: number,
  work: readonly T[],
  run: (item: T, reader: string) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = work.entries();
  await Promise.all(Array.from({ length: readers }, async (_, i) => {
    for (const [at, item] of queue) results[at] = await run(item, `reader ${i + 1}`);
  }));
  return results;
}
