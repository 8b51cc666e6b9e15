/**
 * Sends an admitted request to an instance, and to another when the first fails and nothing can happen twice. Small answers
 * are read whole before the client sees a byte, so that an instance that dies in the middle is no loss either.
 */

import type { IncomingMessage } from "node:http";
import { type Cancel, Cancellation } from "../transport/cancellation.ts";
import { type ForwardFacts, upstreamHeaders } from "../domain/forward_headers.ts";
import { maySendAgain } from "../domain/retry.ts";
import { type Refusal, refuse } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import type { Route } from "../domain/routes.ts";
import { DEADLINES } from "../transport/deadlines.ts";
import type { Instance, Pool } from "./pool.ts";
import type { Telemetry } from "./telemetry.ts";

/** Answers with a declared length up to this are read whole first; bytes. */
export const WHOLE_ANSWER_BYTES = 65_536;
/** Most instances that one request is sent to. */
export const MAX_ATTEMPTS = 2;
/** Statuses that speak of the instance rather than of the request: another one may do better. */
const INSTANCE_STATUSES = new Set([502, 503]);

/** An admitted request. */
export interface Forwarded {
  readonly request: StrictRequest;
  readonly route: Route;
  readonly body: Uint8Array | undefined;
  readonly facts: Omit<ForwardFacts, "upstreamHost" | "bodyLength">;
  /** Aborted when the client is gone. */
  readonly clientGone: Cancel;
}

/** What became of it. `attempts` counts the instances that were asked. */
export type ForwardOutcome =
  & { readonly attempts: number; readonly instance?: string }
  & (Refusal | {
    readonly kind: "answer";
    readonly status: number;
    readonly rawHeaders: readonly string[];
    /** Whole, or the message to stream on. */
    readonly body: Uint8Array | IncomingMessage;
    /** Ends the deadline: call it when the answer was passed on. */
    readonly finish: () => void;
  });

type Attempt =
  | {
    readonly kind: "answer";
    readonly status: number;
    readonly rawHeaders: readonly string[];
    readonly body: Uint8Array | IncomingMessage;
  }
  | { readonly kind: "failed"; readonly sent: boolean; readonly code: string };

/** Forwards a request. */
export async function forward(
  forwarded: Forwarded,
  pool: Pool,
  telemetry: Telemetry,
): Promise<ForwardOutcome> {
  const { request, route } = forwarded;
  // One for both: the deadline, and that the client is gone.
  const stop = new Cancellation();
  let late = false;
  const timer = DEADLINES.set(route.deadlineMs, () => {
    late = true;
    stop.abort();
  });
  const gone = () => stop.abort();
  forwarded.clientGone.addEventListener("abort", gone);
  if (forwarded.clientGone.aborted) gone();
  const finish = () => {
    DEADLINES.clear(timer);
    forwarded.clientGone.removeEventListener("abort", gone);
  };
  const again = {
    method: request.method,
    hasIdempotencyKey: request.headers.some(([name]) => name === "idempotency-key"),
  };
  const order = pool.order().slice(0, MAX_ATTEMPTS);
  let attempts = 0;
  let lost: ForwardOutcome = { ...refuse("upstream-none", { "Retry-After": "1" }), attempts };
  let answered: ForwardOutcome | undefined;
  for (const [turn, instance] of order.entries()) {
    attempts++;
    if (turn > 0) telemetry.failover(pool.name);
    const attempt = await attemptOne(forwarded, instance, stop);
    const last = turn === order.length - 1;
    if (attempt.kind === "answer") {
      const suspect = INSTANCE_STATUSES.has(attempt.status);
      pool.report(instance, suspect ? "request-failed" : "request-ok", `HTTP ${attempt.status}`);
      telemetry.attempt(pool.name, instance.name, String(attempt.status));
      if (!suspect || last || !maySendAgain({ ...again, sent: true })) {
        const { status, rawHeaders, body } = attempt;
        return {
          kind: "answer",
          status,
          rawHeaders,
          body,
          finish,
          attempts,
          instance: instance.name,
        };
      }
      answered = keep(attempt, attempts, instance, finish);
      continue;
    }
    telemetry.attempt(pool.name, instance.name, attempt.code);
    if (forwarded.clientGone.aborted) {
      finish();
      return { ...refuse("upstream-lost"), attempts, instance: instance.name };
    }
    pool.report(instance, "request-failed", attempt.code);
    if (late) {
      finish();
      return { ...refuse("upstream-deadline"), attempts, instance: instance.name };
    }
    const reason = attempt.sent ? refuse("upstream-lost") : refuse("upstream-none", { "Retry-After": "1" });
    lost = { ...reason, attempts, instance: instance.name };
    if (!maySendAgain({ ...again, sent: attempt.sent })) break;
  }
  if (answered !== undefined) return { ...answered, attempts };
  finish();
  return lost;
}

/** An answer of an instance that could not help, kept in case that the others cannot either. */
function keep(
  attempt: Attempt & { kind: "answer" },
  attempts: number,
  instance: Instance,
  finish: () => void,
): ForwardOutcome | undefined {
  if (!(attempt.body instanceof Uint8Array)) {
    attempt.body.destroy();
    return undefined;
  }
  const { status, rawHeaders, body } = attempt;
  return {
    kind: "answer",
    status,
    rawHeaders,
    body,
    finish,
    attempts,
    instance: instance.name,
  };
}

async function attemptOne(forwarded: Forwarded, instance: Instance, signal: Cancel): Promise<Attempt> {
  const { request, body, facts } = forwarded;
  const answer = await instance.client.send({
    method: request.method,
    target: request.path + request.query,
    headers: upstreamHeaders(request, {
      ...facts,
      upstreamHost: instance.client.host,
      bodyLength: body?.length,
    }),
    body,
    signal,
    ...(request.method === "HEAD" ? {} : { wholeBytes: WHOLE_ANSWER_BYTES }),
  });
  if (answer.kind === "failed") return answer;
  if (answer.kind === "whole") return { ...answer, kind: "answer" };
  const { message, status } = answer;
  return { kind: "answer", status, rawHeaders: message.rawHeaders, body: message };
}
