/** A Prometheus counter that every request adds to: its labels are put together when Prometheus asks, not with each request. */

import { Counter, type Registry } from "prom-client";

/** Counts of one label's values; at the last label a number. */
interface Level {
  readonly next: Map<string, Level>;
  count: number;
}

const level = (): Level => ({ next: new Map(), count: 0 });

/** A counter with labels of few values. */
export class Tally {
  readonly #root = level();

  constructor(name: string, help: string, readonly labelNames: readonly string[], registry: Registry) {
    const hand = (counter: Counter) => this.#hand(counter, this.#root, []);
    new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        hand(this);
      },
    });
  }

  /** Adds one. @param values One for each label, in their order. */
  add(...values: readonly string[]): void {
    let at = this.#root;
    for (const value of values) {
      let next = at.next.get(value);
      if (next === undefined) at.next.set(value, next = level());
      at = next;
    }
    at.count++;
  }

  #hand(counter: Counter, at: Level, values: readonly string[]): void {
    if (at.count > 0) {
      counter.inc(Object.fromEntries(this.labelNames.map((name, i) => [name, values[i]!])), at.count);
      at.count = 0;
    }
    for (const [value, next] of at.next) this.#hand(counter, next, [...values, value]);
  }
}
