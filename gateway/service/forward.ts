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
import type { Deadline } from "../transport/deadlines.ts";
import { type RequestBody, StreamedBody } from "../transport/request_body.ts";
import { BUSY_CODE, type UpstreamAnswer, type UpstreamAnswered } from "../transport/upstream_client.ts";
import { UpstreamBody } from "../transport/upstream/answer_body.ts";
import type { Instance, Pool } from "./pool.ts";
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
  const { request, route, body, facts } = forwarded;
  const began = pool.clock.monotonic();
  const patience = new Patience(pool, began + route.deadlineMs, forwarded.clientGone);
  const order = pool.order(affinityKey(route.affinity, request), began);
  const attempts = Math.min(order.length, MAX_ATTEMPTS);
  pool.requested();
  let outcome: ForwardOutcome | undefined;
  for (let turn = 0; turn < attempts; turn++) {
    const instance = order[turn]!;
    const isLast = turn + 1 === attempts;
    if (turn > 0) telemetry.failover(pool.name);
    pool.begin(instance);
    const spentMs = turn === 0 ? 0 : pool.clock.monotonic() - began;
    const answer = await instance.client.send({
      method: request.method,
      target: request.path + request.query,
      headers: upstreamHeaders(request, {
        clientCertificate: facts.clientCertificate,
        requestId: facts.requestId,
        traceparent: facts.traceparent,
        clientAddress: facts.clientAddress,
        upstreamHost: instance.client.host,
        body: body instanceof StreamedBody ? { length: body.length } : body && { length: body.length },
        timeLeftMs: Math.max(1, Math.ceil(route.deadlineMs - spentMs)),
      }),
      body,
      signal: patience,
    });
    telemetry.attempt(
      pool.name,
      instance.name,
      answer.kind === "answer" ? String(answer.status) : answer.code,
    );
    if (answer.kind === "answer") {
      const again = INSTANCE_STATUSES.has(answer.status) && !(answer.body instanceof UpstreamBody) &&
        !isLast && mayRepeat(forwarded, pool, true);
      outcome = answeredBy(instance, answer, turn + 1, pool, patience, again);
      if (again) continue;
      return outcome;
    }
    const refusal = refusalOf(answer, forwarded, patience.isLate);
    // Neither a client that left nor one that sent too much says anything about the instance; nor does our own queue.
    if (refusal.blameless) pool.abandon(instance);
    else pool.end(instance, false, answer.code);
    // Told by an instance before, that it cannot: better than that the next one could not be reached.
    if (outcome?.kind !== "answer") {
      outcome = { ...refusal.refusal, attempts: turn + 1, instance: instance.name };
    }
    if (refusal.final || isLast || !mayRepeat(forwarded, pool, answer.sent)) break;
  }
  patience.over();
  return outcome ?? { ...refuse("upstream-none", { "retry-after": "1" }), attempts: 0 };
}

/** How long an answer is waited for: until its deadline, or the client is gone. */
class Patience extends Cancellation {
  /** The deadline came. */
  isLate = false;
  readonly #deadline: Deadline;
  readonly #gone = () => this.abort();

  /** @param at Monotonic milliseconds. */
  constructor(readonly pool: Pool, at: number, readonly client: Cancel) {
    super();
    this.#deadline = pool.deadlines.set(at, () => {
      this.isLate = true;
      this.abort();
    });
    client.addEventListener("abort", this.#gone);
    if (client.aborted) this.abort();
  }

  /** Nothing is waited for any more. */
  over(): void {
    this.pool.deadlines.clear(this.#deadline);
    this.client.removeEventListener("abort", this.#gone);
  }
}

/** Whether a request may be sent to another instance: it is whole, nothing can happen twice, and the budget has room for it. */
function mayRepeat({ request, route, body }: Forwarded, pool: Pool, sent: boolean): boolean {
  if (body instanceof StreamedBody && body.begun) return false;
  const hasIdempotencyKey = route.repeatWithKey &&
    request.headers.some(([name]) => name === "idempotency-key");
  return maySendAgain({ method: request.method, hasIdempotencyKey, sent }) && (!sent || pool.takeRetry());
}

/** What an instance answered. It has done its part when the answer is whole; with one that streams that is seen later. */
function answeredBy(
  instance: Instance,
  { status, rawHeaders, body }: UpstreamAnswered,
  attempts: number,
  pool: Pool,
  patience: Patience,
  again: boolean,
): ForwardOutcome {
  const finish = (ok: boolean) => {
    patience.over();
    pool.end(instance, ok && !FAILED_STATUSES.has(status), `HTTP ${status}`);
  };
  const told = { kind: "answer", status, rawHeaders, body, attempts, instance: instance.name } as const;
  if (body instanceof UpstreamBody) return { ...told, finish };
  if (again) pool.end(instance, false, `HTTP ${status}`);
  else finish(true);
  return { ...told, finish: nothing };
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
