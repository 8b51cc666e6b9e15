/** An event stream that ends when its signal aborts, when its reader leaves, or when its service closes. */

/**
 * Wraps a generator of events. The generator's signal aborts with any of `signals` and on `return()`, so a
 * `for await` that is left, or a caller that abandons a pending `next()`, ends the wait that is in flight.
 * A generator checks its signal after every wait.
 */
export function eventStream<T>(
  signals: readonly AbortSignal[],
  generate: (signal: AbortSignal) => AsyncGenerator<T, void, void>,
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<T, void> {
      const left = new AbortController();
      // Not AbortSignal.any(): listeners are taken off again, whatever the life of the given signals.
      const abort = () => left.abort();
      const forget = () => signals.forEach((signal) => signal.removeEventListener("abort", abort));
      for (const signal of signals) {
        if (signal.aborted) abort();
        else signal.addEventListener("abort", abort);
      }
      const inner = (async function* () {
        try {
          if (!left.signal.aborted) yield* generate(left.signal);
        } finally {
          forget();
        }
      })();
      return {
        next: () => inner.next(),
        async return() {
          left.abort();
          await inner.return();
          forget();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** Resolves after `ms`, or at once when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
