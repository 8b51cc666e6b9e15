/**
 * The public application: what becomes of a request that was read (admission, body, limits, capacity, forwarding). There is one path
 * through it and routes are configuration, so the application has one handler.
 */

import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono } from "hono";
import { type Refusal, refuse } from "../domain/refusals.ts";
import type { Route } from "../domain/routes.ts";
import {
  type Admission,
  type AdmissionWatcher,
  admit,
  type AdmitDecision,
  decideLimits,
  limitsNeedBody,
  needsWholeBody,
  type Policy,
} from "../service/admit.ts";
import { firewallBody } from "../service/firewall.ts";
import { forward, type ForwardOutcome } from "../service/forward.ts";
import type { Pool } from "../service/pool.ts";
import type { Telemetry } from "../service/telemetry.ts";
import { type RequestBody, StreamedBody, takeBody } from "../transport/request_body.ts";
import { newTraceparent } from "./trace.ts";
import type { Tracing } from "./tracing.ts";
import type { Exchange, Report } from "./exchange.ts";
import type { Protection } from "./protection.ts";

/** What the application works with. */
export interface PublicContext {
  readonly policy: () => Policy;
  readonly protection: Protection;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly telemetry: Telemetry;
  /** Undefined: no spans. */
  readonly tracing: Tracing | undefined;
}

/** What handlers find in their context. */
interface PublicEnv {
  readonly Bindings: { readonly exchange: Exchange };
}

/** Makes the application: it answers requests of admitted clients on their exchange. */
export function publicApp(context: PublicContext): (exchange: Exchange) => void {
  const app = new Hono<PublicEnv>({ getPath: (request) => (request as EdgeRequest).path });
  app.all("*", ({ env }) => {
    // Answers are written to the exchange: a Response with a stream would cost more than all the rest.
    void servePublic(context, env.exchange);
    return RESPONSE_ALREADY_SENT;
  });
  return (exchange) => {
    const { method, path } = exchange.request;
    void app.fetch({ method, path } as EdgeRequest, { exchange });
  };
}

/** As much of a Request as the application's dispatch looks at; the runtime's own takes 5 to 8 us. Handlers have the exchange. */
interface EdgeRequest extends Request {
  /** As the strict reading has it: no URL has to be put together and taken apart again. */
  readonly path: string;
}

/** Answers a request of an admitted client. Never rejects. */
async function servePublic(context: PublicContext, exchange: Exchange): Promise<void> {
  const { report, request, peer } = exchange;
  const headers: Record<string, string> = {};
  try {
    const admission: Admission = {
      request,
      identity: report.identity ?? "",
      client: exchange.client,
      address: report.address,
      policy: context.policy(),
      limits: context.protection.limits,
      keys: peer.keys,
      headers,
      watcher: new Watcher(exchange, context.telemetry),
      body: undefined,
      route: undefined,
    };
    // What is known at once is not waited for: each wait is a turn through the runtime's queue.
    const admitted = decide(admission, report);
    const decision = admitted instanceof Promise ? await admitted : admitted;
    report.address = admission.address;
    if (decision.kind === "refuse") return exchange.refuse(decision);
    const { route } = decision;
    let body: RequestBody;
    if (request.hasBody || limitsNeedBody(route)) {
      const taken = await takeAndJudge(exchange, admission, route);
      if (taken.kind === "refuse") return exchange.refuse(taken, headers);
      body = taken.body;
    }
    const slot = context.protection.gates.get(route.upstream)?.enter(route.priority);
    if (slot === undefined) return exchange.refuse(refuse("overloaded", { "retry-after": "1" }), headers);
    exchange.atEnd(() => slot.leave(false));
    // Drawn again: client and upstream cannot join their records by it, only this gateway's log has both.
    const requestId = report.upstreamRequestId = crypto.randomUUID();
    const span = context.tracing?.begin(route.name, request.method);
    const facts = {
      clientCertificate: peer.chain[0]!,
      requestId,
      traceparent: span?.traceparent ?? newTraceparent(),
      clientAddress: report.address,
    };
    const pool = context.pools.get(route.upstream)!;
    const forwarded = { request, route, body, facts, clientGone: exchange.gone };
    const outcome = await forward(forwarded, pool, context.telemetry);
    report.attempts = outcome.attempts;
    slot.leave(isOverload(outcome));
    if (outcome.instance !== undefined) report.instance = outcome.instance;
    if (outcome.kind === "refuse") exchange.refuse(outcome, headers);
    else {
      const answered = exchange.answer(outcome, headers, route.maxAnswerBytes);
      outcome.finish(answered instanceof Promise ? await answered : answered);
    }
    span?.end(report);
  } catch (error) {
    context.telemetry.fault("request-fault", { requestId: report.requestId, error });
    exchange.refuse(refuse("internal"));
  }
}

/** Runs the stages; the line in the log names the route that they found, whatever became of the request. */
function decide(admission: Admission, report: Report): AdmitDecision | Promise<AdmitDecision> {
  try {
    return admit(admission);
  } finally {
    if (admission.route !== undefined) report.route = admission.route.name;
  }
}

/** Reads a body, and decides what could not be decided without it. */
async function takeAndJudge(
  exchange: Exchange,
  admission: Admission,
  route: Route,
): Promise<Refusal | { readonly kind: "body"; readonly body: RequestBody }> {
  const { request } = exchange;
  let body: RequestBody;
  if (request.hasBody) {
    if (exchange.wantsContinue) exchange.outgoing.writeContinue();
    const read = await takeBody(exchange.incoming, {
      declaredLength: request.declaredLength,
      maxBytes: route.maxBodyBytes,
      whole: needsWholeBody(route),
    });
    if (read.kind !== "body") return refuse(read.kind === "too-large" ? "body-too-large" : "body-incomplete");
    body = read.body;
    if (!(body instanceof StreamedBody)) {
      const undescribed = firewallBody(route.firewall, request, body, exchange);
      if (undescribed !== undefined) return undescribed;
    }
  }
  if (limitsNeedBody(route)) {
    if (body instanceof Uint8Array) admission.body = body;
    const refusal = await decideLimits(admission);
    if (refusal !== undefined) return refusal;
  }
  return { kind: "body", body };
}

/** Takes what the stages say of one exchange to its line in the log, and to the metrics. */
class Watcher implements AdmissionWatcher {
  constructor(readonly exchange: Exchange, readonly telemetry: Telemetry) {}

  observe(refusal: Refusal): void {
    this.exchange.observe(refusal);
  }

  fired(rules: readonly string[], dryRun: readonly string[]): void {
    const { report } = this.exchange;
    if (rules.length > 0) report.rules = [...report.rules ?? [], ...rules];
    if (dryRun.length > 0) report.dryRun = [...report.dryRun ?? [], ...dryRun];
    for (const rule of rules) this.telemetry.rule(rule, "refused");
    for (const rule of dryRun) this.telemetry.rule(rule, "dry-run");
  }

  atEnd(leave: () => void): void {
    this.exchange.atEnd(leave);
  }
}

/** Whether an outcome says that the upstream had no capacity left. */
function isOverload(outcome: ForwardOutcome): boolean {
  return outcome.kind === "refuse"
    ? outcome.reason === "upstream-deadline"
    : outcome.status === 503 || outcome.status === 504;
}
