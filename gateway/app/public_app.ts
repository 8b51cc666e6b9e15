/** The public side as a Hono application: admission, then forwarding. Answers go straight to the node response. */

import { Hono } from "hono";
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { IncomingMessage } from "node:http";
import { refuse } from "../domain/refusals.ts";
import { type Route } from "../domain/routes.ts";
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
import type { AdmittedExchange } from "./exchange.ts";
import type { Protection } from "./protection.ts";

/** What the application works with. */
export interface PublicContext {
  readonly exchanges: WeakMap<IncomingMessage, AdmittedExchange>;
  readonly policy: () => Policy;
  readonly protection: Protection;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly telemetry: Telemetry;
  /** Undefined: no spans. */
  readonly tracing: Tracing | undefined;
}

interface Env {
  Bindings: HttpBindings;
  Variables: { route: Route; headers: Record<string, string>; admission: Admission };
}

/** Makes the application. */
export function publicApp(context: PublicContext): Hono<Env> {
  const app = new Hono<Env>();
  const exchangeOf = (incoming: IncomingMessage) => {
    const exchange = context.exchanges.get(incoming);
    if (exchange === undefined) throw new Error("Cannot find the exchange of a request");
    return exchange;
  };

  app.use("*", async (c, next) => {
    const exchange = exchangeOf(c.env.incoming);
    const { request, report } = exchange;
    if (request === undefined) throw new Error("Cannot admit a request that was not read");
    const headers: Record<string, string> = {};
    const admission: Admission = {
      request,
      identity: report.identity ?? "",
      client: exchange.client,
      address: report.address,
      policy: context.policy(),
      limits: context.protection.limits,
      headers,
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
    const decision = await admit(admission);
    report.address = admission.address;
    if (decision.kind === "refuse") {
      exchange.refuse(decision);
      return RESPONSE_ALREADY_SENT;
    }
    c.set("route", decision.route);
    c.set("headers", headers);
    c.set("admission", admission);
    await next();
  });

  app.all("*", async (c) => {
    const exchange = exchangeOf(c.env.incoming);
    const { route, headers, admission } = c.var;
    const request = exchange.request!;
    let body: RequestBody;
    if (request.hasBody) {
      if (exchange.wantsContinue) exchange.outgoing.writeContinue();
      const read = await takeBody(exchange.incoming, {
        declaredLength: request.declaredLength,
        maxBytes: route.maxBodyBytes,
        whole: needsWholeBody(route),
      });
      if (read.kind !== "body") {
        exchange.refuse(refuse(read.kind === "too-large" ? "body-too-large" : "body-incomplete"), headers);
        return RESPONSE_ALREADY_SENT;
      }
      body = read.body;
      if (!(body instanceof StreamedBody)) {
        const undescribed = firewallBody(
          route.firewall,
          request,
          body,
          (refusal) => exchange.observe(refusal),
        );
        if (undescribed !== undefined) {
          exchange.refuse(undescribed, headers);
          return RESPONSE_ALREADY_SENT;
        }
      }
    }
    if (limitsNeedBody(route)) {
      const refusal = await decideLimits({ ...admission, ...(body instanceof Uint8Array ? { body } : {}) });
      if (refusal !== undefined) {
        exchange.refuse(refusal, headers);
        return RESPONSE_ALREADY_SENT;
      }
    }
    const slot = context.protection.gates.get(route.upstream)?.enter(route.priority);
    if (slot === undefined) {
      exchange.refuse(refuse("overloaded", { "Retry-After": "1" }), headers);
      return RESPONSE_ALREADY_SENT;
    }
    exchange.atEnd(() => slot.leave(false));
    const pool = context.pools.get(route.upstream)!;
    // Drawn again: client and upstream cannot join their records by it, only this gateway's log has both.
    const upstreamRequestId = crypto.randomUUID();
    exchange.report.upstreamRequestId = upstreamRequestId;
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
          clientAddress: exchange.report.address,
        },
        clientGone: exchange.gone.signal,
      },
      pool,
      context.telemetry,
    );
    exchange.report.attempts = outcome.attempts;
    slot.leave(isOverload(outcome));
    if (outcome.instance !== undefined) exchange.report.instance = outcome.instance;
    if (outcome.kind === "refuse") exchange.refuse(outcome, headers);
    else {
      outcome.finish(await exchange.answer(outcome, headers, route.maxAnswerBytes));
    }
    span?.end(exchange.report);
    return RESPONSE_ALREADY_SENT;
  });

  app.onError((error, c) => {
    const exchange = exchangeOf(c.env.incoming);
    context.telemetry.fault("request-fault", { requestId: exchange.report.requestId, error });
    exchange.refuse(refuse("internal"));
    return RESPONSE_ALREADY_SENT;
  });
  return app;
}

/** Whether an outcome says that the upstream had no capacity left. */
function isOverload(outcome: ForwardOutcome): boolean {
  return outcome.kind === "refuse"
    ? outcome.reason === "upstream-deadline"
    : outcome.status === 503 || outcome.status === 504;
}
