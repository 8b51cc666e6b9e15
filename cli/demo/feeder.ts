/** The card feeder as the command line sees it: puts virtual cards on readers and takes them off. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { CardOptions } from "device/card/options.ts";
import { type Child, startChild } from "../process/child.ts";
import { STANDARD_FOLDER } from "../spine/layout.ts";
import { STANDARD_READER } from "../commands/card.ts";

/** What a card did while it lay on a reader. */
export interface CardStats {
  readonly apdus: number;
  /** Time inside the card in milliseconds, its configured delay included. */
  readonly cardMs: number;
}

/** A running feeder. */
export interface Feeder {
  /** Puts a card on a slot: a new one with options, or the one whose state is there. Resolves when it is attached. */
  insert(slot: number, stateFile: string, options?: CardOptions): Promise<void>;
  /** Takes it off. */
  remove(slot: number): Promise<CardStats>;
  stop(): Promise<void>;
}

/** How to start a feeder. */
export interface FeederOptions {
  /** Folder of the cards' state files. */
  readonly cards: string;
  /** `host:port` of vpcd, or of a virtual reader, for each slot. */
  readonly slots: readonly string[];
  readonly apduDelayMs?: number;
  /** How long a slot stays empty before another card comes, in milliseconds. */
  readonly awayMs?: number;
  readonly logFile: string;
}

/** Longest time in which a card is laid down or taken off, in milliseconds: a reader that died never takes one. */
const MOVE_MS = 60_000;

interface FeederEvent {
  readonly event: string;
  readonly slot?: number;
  readonly code?: string;
  readonly message?: string;
  readonly apdus?: number;
  readonly cardMs?: number;
}

/** Starts the feeder process. */
export async function startFeeder(options: FeederOptions): Promise<Feeder> {
  const child: Child = await startChild({
    name: "card feeder",
    module: "device/app/card_feeder_main.ts",
    permissions: "card",
    substitution: { [STANDARD_READER]: options.slots, [`${STANDARD_FOLDER}/cards`]: options.cards },
    args: [
      ...options.slots.flatMap((slot) => ["--slot", slot]),
      "--apdu-delay-ms",
      String(options.apduDelayMs ?? 0),
    ],
    logFile: options.logFile,
  });
  const waiting: {
    slot: number;
    event: string;
    resolve(event: FeederEvent): void;
    reject(error: Error): void;
  }[] = [];
  const reading = (async () => {
    for await (const line of child.lines()) {
      const event = JSON.parse(line) as FeederEvent;
      const index = waiting.findIndex((each) =>
        each.slot === event.slot && (each.event === event.event || event.event === "error")
      );
      if (index < 0) continue;
      const [waiter] = waiting.splice(index, 1);
      if (event.event === "error") {
        waiter!.reject(new CodedError("FEEDER", event.message ?? "the feeder failed"));
      } else waiter!.resolve(event);
    }
    for (const each of waiting.splice(0)) {
      each.reject(new CodedError("FEEDER", "Cannot move card: the feeder ended"));
    }
  })();
  const order = async (command: unknown, slot: number, event: string) => {
    const answer = new Promise<FeederEvent>((resolve, reject) =>
      waiting.push({ slot, event, resolve, reject })
    );
    await child.write(JSON.stringify(command));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new CodedError("FEEDER", `Cannot move card: no "${event}" from slot ${slot} in time`);
      timer = setTimeout(() => reject(error), MOVE_MS);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  };
  const emptySince = new Map<number, number>();
  return {
    async insert(slot, state, card) {
      const wait = (emptySince.get(slot) ?? -Infinity) + (options.awayMs ?? 0) - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      await order({ insert: { slot, state, ...(card ? { options: card } : {}) } }, slot, "attached");
    },
    async remove(slot) {
      const { apdus = 0, cardMs = 0 } = await order({ remove: { slot } }, slot, "removed");
      emptySince.set(slot, performance.now());
      return { apdus, cardMs };
    },
    async stop() {
      await child.stop();
      await reading;
    },
  };
}

defineErrors({
  FEEDER: { fault: "bug", retry: false, next: "The card feeder's log tells more." },
});
