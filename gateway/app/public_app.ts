/**
 * The public application: what becomes of a request that was read (admission, body, limits, capacity, forwarding). There is one path
 * through it and routes are configuration, so the application has one handler.
 */

import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono } from "hono";
import { type Refusal, refuse } from "../domain/refusals.ts";
import {
  type Admission,
  admit,
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
import type { Exchange } from "./exchange.ts";
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
  try {
    await serve(context, exchange);
  } catch (error) {
    context.telemetry.fault("request-fault", { requestId: exchange.report.requestId, error });
    exchange.refuse(refuse("internal"));
  }
}

async function serve(context: PublicContext, exchange: Exchange): Promise<void> {
  const admission = admissionOf(context, exchange);
  const { report, request } = exchange;
  const { headers } = admission;
  // What is known at once is not waited for: each wait is a turn through the runtime's queue.
  const admitted = admit(admission);
  const decision = admitted instanceof Promise ? await admitted : admitted;
  report.address = admission.address;
  if (decision.kind === "refuse") return exchange.refuse(decision);
  const { route } = decision;
  let body: RequestBody;
  if (request.hasBody) {
    if (exchange.wantsContinue) exchange.outgoing.writeContinue();
    const read = await takeBody(exchange.incoming, {
      declaredLength: request.declaredLength,
      maxBytes: route.maxBodyBytes,
      whole: needsWholeBody(route),
    });
    if (read.kind !== "body") {
      return exchange.refuse(
        refuse(read.kind === "too-large" ? "body-too-large" : "body-incomplete"),
        headers,
      );
    }
    body = read.body;
    if (!(body instanceof StreamedBody)) {
      const observe = (refusal: Refusal) => exchange.observe(refusal);
      const undescribed = firewallBody(route.firewall, request, body, observe);
      if (undescribed !== undefined) return exchange.refuse(undescribed, headers);
    }
  }
  if (limitsNeedBody(route)) {
    if (body instanceof Uint8Array) admission.body = body;
    const refusal = await decideLimits(admission);
    if (refusal !== undefined) return exchange.refuse(refusal, headers);
  }
  const slot = context.protection.gates.get(route.upstream)?.enter(route.priority);
  if (slot === undefined) return exchange.refuse(refuse("overloaded", { "retry-after": "1" }), headers);
  exchange.atEnd(() => slot.leave(false));
  const pool = context.pools.get(route.upstream)!;
  // Drawn again: client and upstream cannot join their records by it, only this gateway's log has both.
  const upstreamRequestId = crypto.randomUUID();
  report.upstreamRequestId = upstreamRequestId;
  const span = context.tracing?.begin(route.name, request.method);
  const outcome = await forward(
    {
      request,
      route,
      body,
      facts: {
        clientCertificate: exchange.clientCertificate,
        requestId: upstreamRequestId,
        traceparent: span?.traceparent ?? newTraceparent(),
        clientAddress: report.address,
      },
      clientGone: exchange.gone,
    },
    pool,
    context.telemetry,
  );
  report.attempts = outcome.attempts;
  slot.leave(isOverload(outcome));
  if (outcome.instance !== undefined) report.instance = outcome.instance;
  if (outcome.kind === "refuse") exchange.refuse(outcome, headers);
  else {
    const answered = exchange.answer(outcome, headers, route.maxAnswerBytes);
    outcome.finish(answered instanceof Promise ? await answered : answered);
  }
  span?.end(report);
}

function admissionOf(context: PublicContext, exchange: Exchange): Admission {
  const { request, report, client } = exchange;
  return {
    request,
    identity: report.identity ?? "",
    client,
    address: report.address,
    policy: context.policy(),
    limits: context.protection.limits,
    headers: {},
    found: (route) => report.route = route.name,
    observe: (refusal) => exchange.observe(refusal),
    fired: (rules, dryRun) => {
      if (rules.length > 0) report.rules = [...report.rules ?? [], ...rules];
      if (dryRun.length > 0) report.dryRun = [...report.dryRun ?? [], ...dryRun];
      for (const rule of rules) context.telemetry.rule(rule, "refused");
      for (const rule of dryRun) context.telemetry.rule(rule, "dry-run");
    },
    atEnd: (leave) => exchange.atEnd(leave),
  };
}

/** Whether an outcome says that the upstream had no capacity left. */
function isOverload(outcome: ForwardOutcome): boolean {
  return outcome.kind === "refuse"
    ? outcome.reason === "upstream-deadline"
    : outcome.status === 503 || outcome.status === 504;
}
