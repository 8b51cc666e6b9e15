/**
 * Sends an admitted request to an instance, and to another when the first fails and nothing can happen twice. Small answers
 * come whole before the client sees a byte, so that an instance that dies in the middle is no loss either.
 */

import { affinityKey } from "../domain/affinity.ts";
import { type ForwardFacts, upstreamHeaders } from "../domain/forward_headers.ts";
import { maySendAgain } from "../domain/retry.ts";
import { type Refusal, refuse } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import type { Route } from "../domain/routes.ts";
import { type Cancel, Cancellation } from "../transport/cancellation.ts";
import { type RequestBody, StreamedBody } from "../transport/request_body.ts";
import { BUSY_CODE, type UpstreamAnswer, type UpstreamAnswered } from "../transport/upstream_client.ts";
import { UpstreamBody } from "../transport/upstream/answer_body.ts";
import type { Pool } from "./pool.ts";
import type { Telemetry } from "./telemetry.ts";

/** Most instances that one request is sent to. */
export const MAX_ATTEMPTS = 2;
/** Statuses that speak of the instance rather than of the request: another one may do better. */
const INSTANCE_STATUSES = new Set([502, 503]);
/** Statuses that count against an instance. Not 500: a client must not be able to put an instance out with bad requests. */
const FAILED_STATUSES = new Set([502, 503, 504]);

/** An admitted request. */
export interface Forwarded {
  readonly request: StrictRequest;
  readonly route: Route;
  readonly body: RequestBody;
  readonly facts: Omit<ForwardFacts, "upstreamHost" | "body" | "timeLeftMs">;
  /** Aborted when the client is gone. */
  readonly clientGone: Cancel;
}

/** What became of it. `attempts` counts the instances that were asked. */
export type ForwardOutcome =
  & { readonly attempts: number; readonly instance?: string }
  & (
    | Refusal
    | UpstreamAnswered & {
      /** Ends the deadline: call it when the answer was passed on, with whether the instance did its part. */
      readonly finish: (ok: boolean) => void;
    }
  );

/** Forwards a request. */
export async function forward(
  forwarded: Forwarded,
  pool: Pool,
  telemetry: Telemetry,
): Promise<ForwardOutcome> {
  const { request, route, body } = forwarded;
  const began = pool.clock.monotonic();
  const signal = new Cancellation();
  let isLate = false;
  const deadline = pool.deadlines.set(began + route.deadlineMs, () => {
    isLate = true;
    signal.abort();
  });
  const gone = () => signal.abort();
  forwarded.clientGone.addEventListener("abort", gone);
  if (forwarded.clientGone.aborted) gone();
  const over = () => {
    pool.deadlines.clear(deadline);
    forwarded.clientGone.removeEventListener("abort", gone);
  };
  const order = pool.order(affinityKey(route.affinity, request), began);
  const attempts = Math.min(order.length, MAX_ATTEMPTS);
  const mayRepeat = (turn: number, sent: boolean) => {
    if (turn + 1 === attempts || body instanceof StreamedBody && body.begun) return false;
    const hasIdempotencyKey = route.repeatWithKey &&
      request.headers.some(([name]) => name === "idempotency-key");
    return maySendAgain({ method: request.method, hasIdempotencyKey, sent }) && (!sent || pool.takeRetry());
  };
  pool.requested();
  let outcome: ForwardOutcome | undefined;
  for (let turn = 0; turn < attempts; turn++) {
    const instance = order[turn]!;
    if (turn > 0) telemetry.failover(pool.name);
    pool.begin(instance);
    const spentMs = turn === 0 ? 0 : pool.clock.monotonic() - began;
    const { clientCertificate, requestId, traceparent, clientAddress } = forwarded.facts;
    const answer = await instance.client.send({
      method: request.method,
      target: request.path + request.query,
      headers: upstreamHeaders(request, {
        clientCertificate,
        requestId,
        traceparent,
        clientAddress,
        upstreamHost: instance.client.host,
        body: body instanceof StreamedBody ? { length: body.length } : body && { length: body.length },
        timeLeftMs: Math.max(1, Math.ceil(route.deadlineMs - spentMs)),
      }),
      body,
      signal,
    });
    telemetry.attempt(
      pool.name,
      instance.name,
      answer.kind === "answer" ? String(answer.status) : answer.code,
    );
    if (answer.kind === "answer") {
      const { status, rawHeaders } = answer;
      const whole = !(answer.body instanceof UpstreamBody);
      const answered = { kind: "answer", status, rawHeaders, body: answer.body, attempts: turn + 1 } as const;
      if (whole && INSTANCE_STATUSES.has(status) && mayRepeat(turn, true)) {
        pool.end(instance, false, `HTTP ${status}`);
        outcome = { ...answered, instance: instance.name, finish: nothing };
        continue;
      }
      const finish = (ok: boolean) => {
        over();
        pool.end(instance, ok && !FAILED_STATUSES.has(status), `HTTP ${status}`);
      };
      if (whole) finish(true);
      return { ...answered, instance: instance.name, finish: whole ? nothing : finish };
    }
    const refusal = refusalOf(answer, forwarded, isLate);
    // Neither a client that left nor one that sent too much says anything about the instance; nor does our own queue.
    if (refusal.blameless) pool.abandon(instance);
    else pool.end(instance, false, answer.code);
    // Told by an instance before, that it cannot: better than that the next one could not be reached.
    if (outcome?.kind !== "answer") {
      outcome = { ...refusal.refusal, attempts: turn + 1, instance: instance.name };
    }
    if (refusal.final || !mayRepeat(turn, answer.sent)) break;
  }
  over();
  return outcome ?? { ...refuse("upstream-none", { "retry-after": "1" }), attempts: 0 };
}

const nothing = () => {};

function refusalOf(
  failed: UpstreamAnswer & { kind: "failed" },
  { body, clientGone }: Forwarded,
  isLate: boolean,
): { refusal: Refusal; final: boolean; blameless: boolean } {
  if (body instanceof StreamedBody && body.fault !== undefined) {
    const reason = body.fault === "BODY_TOO_LARGE" ? "body-too-large" : "body-incomplete";
    return { refusal: refuse(reason), final: true, blameless: true };
  }
  if (clientGone.aborted) return { refusal: refuse("upstream-lost"), final: true, blameless: true };
  // A client that sends slowly must not be able to put an instance out.
  if (isLate && body instanceof StreamedBody && body.awaitsClient) {
    return { refusal: refuse("request-timeout"), final: true, blameless: true };
  }
  if (isLate) return { refusal: refuse("upstream-deadline"), final: true, blameless: false };
  if (failed.sent) return { refusal: refuse("upstream-lost"), final: false, blameless: false };
  const busy = failed.code === BUSY_CODE;
  const reason = busy ? "upstream-busy" : "upstream-none";
  return { refusal: refuse(reason, { "retry-after": "1" }), final: false, blameless: busy };
}
