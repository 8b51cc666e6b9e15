/** The clock as a port, so that decisions can be tested at any time. */

/** Milliseconds since 1970-01-01T00:00:00Z, and a monotonic counter in milliseconds. */
export interface Clock {
  now(): number;
  monotonic(): number;
}

/** The machine's clocks. */
export const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonic: () => performance.now() };
