/** One reader at a time works on a chip: two cards that say they are the same chip would get one serial. */

/** Locks by chip; see the module's comment. */
export class ChipLocks {
  readonly #held = new Map<string, Promise<void>>();

  /** Takes the lock if it is free, and gives the way to release it. */
  tryAcquire(chip: string): (() => void) | undefined {
    if (this.#held.has(chip)) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held.set(chip, promise);
    return () => {
      this.#held.delete(chip);
      resolve();
    };
  }

  /** Waits for its turn. */
  async acquire(chip: string): Promise<() => void> {
    for (;;) {
      const release = this.tryAcquire(chip);
      if (release !== undefined) return release;
      await this.#held.get(chip);
    }
  }
}
