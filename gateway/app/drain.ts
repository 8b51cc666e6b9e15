/** The end of a listener: nothing new is accepted, what was read is answered, and idle connections go last. */

import type { Listener } from "../transport/listener.ts";

/** Times of a drain. */
export interface DrainTimes {
  /** Longest wait for everything; what is open then is broken off. Milliseconds. */
  readonly timeoutMs: number;
  /**
   * Connections without a request stay open for this long: a request that is on its way on one of them is still answered,
   * and that answer tells the client to close. Milliseconds.
   */
  readonly idleMs: number;
}

/** Drains a listener; true when everything ended by itself. */
export async function drainListener<P>(listener: Listener<P>, times: DrainTimes): Promise<boolean> {
  listener.stopAccepting();
  let late: ReturnType<typeof setTimeout> | undefined;
  let every: ReturnType<typeof setInterval> | undefined;
  const tooLate = new Promise<boolean>((resolve) => {
    late = setTimeout(() => resolve(false), times.timeoutMs);
  });
  const first = setTimeout(() => {
    listener.closeIdle();
    // A connection that was answered since then was told to close: only a client that does not listen is met here.
    every = setInterval(() => listener.closeIdle(), 1_000);
  }, times.idleMs);
  const clean = await Promise.race([listener.ended.then(() => true), tooLate]);
  clearTimeout(first);
  clearInterval(every);
  clearTimeout(late);
  listener.destroyAll();
  return clean;
}

/** A drain that nobody waits for: idle connections end by their own keep-alive timeout, which their clients were told. */
export function patientTimes(
  drain: DrainTimes,
  limits: { readonly keepAliveTimeoutMs: number },
): DrainTimes {
  const idleMs = limits.keepAliveTimeoutMs + PATIENCE_MS;
  return { timeoutMs: drain.timeoutMs + idleMs, idleMs };
}

/** Beyond the keep-alive timeout, milliseconds. */
const PATIENCE_MS = 2_000;
