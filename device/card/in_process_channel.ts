/** A virtual card without a reader: `CardChannel` and `ReaderService` inside one process. */

import { CodedError } from "shared/base/errors.ts";
import type { CardChannel, ReaderEvent, ReaderService } from "shared/transport/card_channel.ts";
import { Presentation, type PresentationOptions, type PresentationStats } from "./presentation.ts";
import type { VirtualCard } from "./virtual_card.ts";
import "shared/transport/card_channel.ts";

const removed = () => new CodedError("CARD_REMOVED", "Cannot transmit: the card has left the reader");

/** Channel to a presented card. After a removal every call fails; a card presented again needs a new channel. */
export class InProcessChannel implements CardChannel {
  readonly #presentation: Presentation;
  readonly #onRemoved: () => void;
  readonly #onClosed: () => void;
  #state: "open" | "removed" | "closed" = "open";
  #busy = false;

  /** Powers the card on. */
  constructor(presentation: Presentation, onRemoved: () => void = () => {}, onClosed: () => void = () => {}) {
    this.#presentation = presentation;
    this.#onRemoved = onRemoved;
    this.#onClosed = onClosed;
    presentation.card.powerOn();
  }

  get atr(): Uint8Array {
    return this.#presentation.card.atr;
  }

  /** APDUs and the card's own time so far. */
  get stats(): Readonly<PresentationStats> {
    return this.#presentation.stats;
  }

  async transmit(command: Uint8Array): Promise<Uint8Array> {
    this.#check();
    if (this.#busy) {
      throw new CodedError("CARD_CHANNEL_CLOSED", "Cannot transmit: a command is in flight already");
    }
    this.#busy = true;
    try {
      const presented = await this.#presentation.transmit(command);
      // Taken away while the chip was busy.
      this.#check();
      if (presented.kind === "removed" || presented.removed) this.remove();
      if (presented.kind === "removed") throw removed();
      return presented.answer;
    } finally {
      this.#busy = false;
    }
  }

  reset(): Promise<void> {
    return Promise.resolve().then(() => {
      this.#check();
      this.#presentation.card.powerOn();
    });
  }

  close(): Promise<void> {
    if (this.#state === "open") this.#presentation.card.powerOff();
    if (this.#state !== "closed") this.#onClosed();
    this.#state = "closed";
    return Promise.resolve();
  }

  /** Takes the card away. */
  remove(): void {
    if (this.#state !== "open") return;
    this.#state = "removed";
    this.#presentation.card.powerOff();
    this.#onRemoved();
  }

  #check(): void {
    if (this.#state === "closed") {
      throw new CodedError("CARD_CHANNEL_CLOSED", "Cannot transmit: the channel is closed");
    }
    if (this.#state === "removed") throw removed();
  }
}

/** Puts a card on a channel of its own. */
export function openInProcessChannel(card: VirtualCard, options: PresentationOptions = {}): InProcessChannel {
  return new InProcessChannel(new Presentation(card, options));
}

/** Readers inside this process, with hands to put cards on them. */
export interface InProcessReaders extends ReaderService {
  /**
   * Puts a card on a reader; its counters start at zero.
   * @throws {CodedError} `READER_UNKNOWN`, `CARD_BUSY` when a card lies there.
   */
  insert(reader: string, card: VirtualCard, options?: PresentationOptions): Readonly<PresentationStats>;
  /** Takes the card away, if one is there; commands in flight fail with `CARD_REMOVED`. */
  remove(reader: string): void;
}

interface Slot {
  presentation: Presentation | null;
  channel: InProcessChannel | null;
}

/** Makes readers. A card that its fault plan pulls leaves its reader: `insert` presents it again. */
export function inProcessReaders(names: readonly string[]): InProcessReaders {
  const slots = new Map<string, Slot>(names.map((name) => [name, { presentation: null, channel: null }]));
  const watchers = new Set<(event: ReaderEvent) => void>();
  const tell = (event: ReaderEvent) => watchers.forEach((watcher) => watcher(event));
  const slotOf = (reader: string): Slot => {
    const slot = slots.get(reader);
    if (slot === undefined) {
      throw new CodedError("READER_UNKNOWN", `Cannot find reader ${reader}: it is not connected`, { reader });
    }
    return slot;
  };
  const leave = (reader: string, slot: Slot) => {
    if (slot.presentation === null) return;
    const { channel } = slot;
    slot.presentation.card.powerOff();
    slot.presentation = null;
    slot.channel = null;
    channel?.remove();
    tell({ kind: "card-removed", reader });
  };

  return {
    readers: () => Promise.resolve([...names]),
    insert(reader, card, options = {}) {
      const slot = slotOf(reader);
      if (slot.presentation !== null) {
        throw new CodedError("CARD_BUSY", `Cannot put a card on ${reader}: one is there`, { reader });
      }
      slot.presentation = new Presentation(card, options);
      tell({ kind: "card-inserted", reader, atr: card.atr });
      return slot.presentation.stats;
    },
    remove: (reader) => leave(reader, slotOf(reader)),
    connect(reader) {
      return Promise.resolve().then(() => {
        const slot = slotOf(reader);
        if (slot.presentation === null) {
          throw new CodedError("CARD_ABSENT", `Cannot connect to ${reader}: no card is there`, { reader });
        }
        if (slot.channel !== null) {
          throw new CodedError("CARD_BUSY", `Cannot connect to ${reader}: the card is in use`, { reader });
        }
        slot.channel = new InProcessChannel(
          slot.presentation,
          () => leave(reader, slot),
          () => {
            slot.channel = null;
          },
        );
        return slot.channel;
      });
    },
    async *watch(signal) {
      const queue: ReaderEvent[] = [];
      let wake = () => {};
      const watcher = (event: ReaderEvent) => {
        queue.push(event);
        wake();
      };
      const aborted = () => wake();
      for (const [reader, slot] of slots) {
        queue.push({ kind: "reader-added", reader });
        if (slot.presentation !== null) {
          queue.push({ kind: "card-inserted", reader, atr: slot.presentation.card.atr });
        }
      }
      watchers.add(watcher);
      signal.addEventListener("abort", aborted);
      try {
        while (!signal.aborted) {
          const event = queue.shift();
          if (event !== undefined) yield event;
          else await new Promise<void>((resolve) => wake = resolve);
        }
      } finally {
        watchers.delete(watcher);
        signal.removeEventListener("abort", aborted);
      }
    },
    close() {
      for (const [reader, slot] of slots) leave(reader, slot);
      return Promise.resolve();
    },
  };
}
