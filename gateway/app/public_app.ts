/** The public side as a Hono application: admission, then forwarding. Answers go straight to the node response. */

import { Hono } from "hono";
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { IncomingMessage } from "node:http";
import { refuse } from "../domain/refusals.ts";
import { type Route } from "../domain/routes.ts";
import { admit, type Policy } from "../service/admit.ts";
import { forward } from "../service/forward.ts";
import type { LimitStore } from "../service/limit_store.ts";
import type { Pool } from "../service/pool.ts";
import type { Telemetry } from "../service/telemetry.ts";
import { readBody } from "../transport/body.ts";
import { newTraceparent } from "./trace.ts";
import type { Tracing } from "./tracing.ts";
import type { AdmittedExchange } from "./exchange.ts";

/** What the application works with. */
export interface PublicContext {
  readonly exchanges: WeakMap<IncomingMessage, AdmittedExchange>;
  readonly policy: () => Policy;
  readonly limits: LimitStore;
  readonly pools: ReadonlyMap<string, Pool>;
  readonly telemetry: Telemetry;
  /** Undefined: no spans. */
  readonly tracing: Tracing | undefined;
}

interface Env {
  Bindings: HttpBindings;
  Variables: { route: Route; headers: Record<string, string> };
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
    const decision = admit({
      request,
      identity: report.identity ?? "",
      client: exchange.client,
      address: report.address,
      policy: context.policy(),
      limits: context.limits,
      headers,
      found: (route) => report.route = route.name,
    });
    if (decision.kind === "refuse") {
      exchange.refuse(decision);
      return RESPONSE_ALREADY_SENT;
    }
    c.set("route", decision.route);
    c.set("headers", headers);
    await next();
  });

  app.all("*", async (c) => {
    const exchange = exchangeOf(c.env.incoming);
    const { route, headers } = c.var;
    const request = exchange.request!;
    let body: Uint8Array | undefined;
    if (request.hasBody) {
      if (exchange.wantsContinue) exchange.outgoing.writeContinue();
      const read = await readBody(exchange.incoming, route.maxBodyBytes);
      if (read.kind !== "body") {
        exchange.refuse(refuse(read.kind === "too-large" ? "body-too-large" : "body-incomplete"), headers);
        return RESPONSE_ALREADY_SENT;
      }
      body = read.bytes;
    }
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
        clientGone: exchange.gone,
      },
      pool,
      context.telemetry,
    );
    exchange.report.attempts = outcome.attempts;
    if (outcome.instance !== undefined) exchange.report.instance = outcome.instance;
    if (outcome.kind === "refuse") exchange.refuse(outcome, headers);
    else {
      await exchange.answer(outcome.status, outcome.rawHeaders, outcome.body, headers);
      outcome.finish();
    }
    span?.end(exchange.report);
    return RESPONSE_ALREADY_SENT;
  });

  app.onError((error, c) => {
    const exchange = exchangeOf(c.env.incoming);
    context.telemetry.logger.error("request-fault", { requestId: exchange.report.requestId, error });
    exchange.refuse(refuse("internal"));
    return RESPONSE_ALREADY_SENT;
  });
  return app;
}
