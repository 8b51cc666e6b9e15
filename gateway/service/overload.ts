/** The adaptive limit of one pool at work: who may enter, and what each answer teaches. */

import type { Clock } from "shared/transport/clock.ts";
import {
  type AdaptiveRule,
  type AdaptiveState,
  initialAdaptive,
  learn,
  mayEnter,
  type Priority,
} from "../domain/adaptive.ts";

/** A request that entered. */
export interface Slot {
  /** It is over. Counts once. @param overloaded The pool had no capacity for it. */
  leave(overloaded: boolean): void;
}

/** The gate of one pool. */
export class Gate {
  #state: AdaptiveState;
  #inFlight = 0;

  constructor(readonly rule: AdaptiveRule, readonly clock: Clock) {
    this.#state = initialAdaptive(rule);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get limit(): number {
    return Math.floor(this.#state.limit);
  }

  /** Lets a request in; undefined sheds it. */
  enter(priority: Priority): Slot | undefined {
    if (!mayEnter(this.#state, priority, this.#inFlight)) return undefined;
    const inFlight = ++this.#inFlight;
    const began = this.clock.monotonic();
    let over = false;
    return {
      leave: (overloaded) => {
        if (over) return;
        over = true;
        this.#inFlight--;
        this.#state = learn(this.rule, this.#state, {
          ms: this.clock.monotonic() - began,
          inFlight,
          overloaded,
        });
      },
    };
  }
}
