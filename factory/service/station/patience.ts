/**
 * Waits for an attestation service that is gone, slow or busy, instead of failing the card on the reader: the operator
 * sees that it waits, and the card goes on by itself. Each call is safe to repeat (see attestation_client.ts).
 */

import { CodedError, codeOf } from "shared/base/errors.ts";
import type { AttestationPort } from "./attestation_client.ts";
import type { EventSink } from "./events.ts";

/** Wait before a call is repeated, in milliseconds; doubled each time up to the longest. */
const FIRST_WAIT_MS = 500;
/** Longest wait between two calls, in milliseconds. */
const LONGEST_WAIT_MS = 5_000;
/** Answers that say "later". RFC 9110, 15.6. */
const LATER = new Set([429, 502, 503, 504]);

/** How long, and whom to tell. */
export interface PatienceOptions {
  readonly port: AttestationPort;
  /** Longest time that one call is repeated for, in milliseconds; 0: never. */
  readonly milliseconds: number;
  readonly reader: string;
  readonly emit: EventSink;
  readonly now: () => number;
  /** Aborted when nobody waits any more: the card was taken off, or the station is to stop at once. */
  readonly gone: AbortSignal;
}

/** Whether the same call may succeed later without anybody changing anything but the service's health. */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof CodedError)) return false;
  if (error.code === "ATTESTATION_UNREACHABLE") return true;
  const { status } = error.details;
  return typeof status === "number" && LATER.has(status);
}

/** The port with patience. */
export function patient(options: PatienceOptions): AttestationPort {
  const { port } = options;
  const wait = <T>(call: () => Promise<T>) => repeat(options, call);
  return {
    batch: (name) => wait(() => port.batch(name)),
    cardKeys: (request) => wait(() => port.cardKeys(request)),
    reserve: (request) => wait(() => port.reserve(request)),
    attest: (request) => wait(() => port.attest(request)),
    // Nobody waits for it.
    install: (request) => port.install(request),
    closeCard: (request) => wait(() => port.closeCard(request)),
    hostCertificate: (request) => wait(() => port.hostCertificate(request)),
    close: () => port.close(),
  };
}

async function repeat<T>(options: PatienceOptions, call: () => Promise<T>): Promise<T> {
  const { milliseconds, reader, emit, now, gone } = options;
  const begun = now();
  for (let waitMs = FIRST_WAIT_MS;; waitMs = Math.min(LONGEST_WAIT_MS, 2 * waitMs)) {
    try {
      return await call();
    } catch (error) {
      const waited = now() - begun;
      if (!isOutage(error) || waited + waitMs > milliseconds || gone.aborted) throw error;
      emit({
        event: "waiting",
        reader,
        code: codeOf(error),
        message: (error as Error).message,
        seconds: Math.round(waited / 1000),
      });
      await sleep(waitMs, gone);
      if (gone.aborted) throw error;
    }
  }
}

function sleep(milliseconds: number, gone: AbortSignal): Promise<void> {
  if (gone.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      gone.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    gone.addEventListener("abort", done);
  });
}
