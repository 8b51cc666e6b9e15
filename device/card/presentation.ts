/**
 * One presentation of a card to a reader: counts APDUs, keeps the chip's time, and takes the card away where the
 * fault plan says. Shared by every way in which a card is put on a reader.
 */

import type { FaultKind, FaultPlan } from "./fault_plan.ts";
import { faultAt, NO_FAULTS } from "./fault_plan.ts";
import { chipTimeMs, type ChipTiming } from "./timing.ts";
import type { VirtualCard } from "./virtual_card.ts";

/** How a card behaves on a reader. */
export interface PresentationOptions {
  /** When it is pulled. Indices count this card's APDUs since `present`, over resets. */
  readonly faultPlan?: FaultPlan;
  /**
   * Least time in milliseconds from a command's arrival to its answer: a chip is slower than this program.
   * Default 0.
   */
  readonly apduDelayMs?: number;
  /** The chip's time by instruction and bytes, on top of which `apduDelayMs` is the least. Default: none. */
  readonly timing?: ChipTiming;
}

/** What a presentation has seen. */
export interface PresentationStats {
  /** APDUs that arrived, those lost to a fault included. */
  apdus: number;
  /** Milliseconds from arrival to answer, summed: the card's own time, the configured delay included. */
  cardMs: number;
}

/** What an APDU came to. */
export type Presented =
  | { readonly kind: "answer"; readonly answer: Uint8Array; readonly removed: boolean }
  | { readonly kind: "removed"; readonly fault: FaultKind };

/** A card on a reader. */
export class Presentation {
  readonly card: VirtualCard;
  readonly #faultPlan: FaultPlan;
  readonly #apduDelayMs: number;
  readonly #timing: ChipTiming | undefined;
  /** Counters; they go on over power cycles. */
  readonly stats: PresentationStats = { apdus: 0, cardMs: 0 };

  constructor(card: VirtualCard, options: PresentationOptions = {}) {
    this.card = card;
    this.#faultPlan = options.faultPlan ?? NO_FAULTS;
    this.#apduDelayMs = options.apduDelayMs ?? 0;
    this.#timing = options.timing;
  }

  /** Runs one command. A removed card has lost its power and everything volatile. */
  async transmit(command: Uint8Array): Promise<Presented> {
    const arrived = performance.now();
    const fault = faultAt(this.#faultPlan, this.stats.apdus);
    this.stats.apdus++;
    if (fault === "before") return this.#remove(fault);
    const answer = await this.card.process(command);
    const chipMs = this.#timing === undefined ? 0 : chipTimeMs(this.#timing, command, answer);
    const rest = Math.max(this.#apduDelayMs, chipMs) - (performance.now() - arrived);
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    this.stats.cardMs += performance.now() - arrived;
    if (fault === "after-execution") return this.#remove(fault);
    if (fault === "after-answer") this.card.powerOff();
    return { kind: "answer", answer, removed: fault === "after-answer" };
  }

  #remove(fault: FaultKind): Presented {
    this.card.powerOff();
    return { kind: "removed", fault };
  }
}
