/** Prometheus metrics of a service's requests. Labels are routes and codes: never a session, an identifier or a reason. */

import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { Counter, Histogram, Registry } from "prom-client";
import { PROBLEM_MEDIA_TYPE } from "../protocol/wire/problem.ts";
import type { Clock } from "../transport/clock.ts";

/** The metrics. */
export interface RequestMetrics {
  readonly registry: Registry;
  /** Ends one request. `code` is `ok` or the problem's code. */
  observe(route: string, code: string, seconds: number): void;
}

/** Makes the metrics of one instance: `SERVICE_requests_total` and `SERVICE_request_duration_seconds`. */
export function requestMetrics(service: string): RequestMetrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: `${service}_requests_total`,
    help: "Requests by route and problem code.",
    labelNames: ["route", "code"],
    registers,
  });
  const duration = new Histogram({
    name: `${service}_request_duration_seconds`,
    help: "Time from the whole request to the whole answer.",
    labelNames: ["route"],
    buckets: [0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 5, 15],
    registers,
  });
  return {
    registry,
    observe(route, code, seconds) {
      requests.inc({ route, code });
      duration.observe({ route }, seconds);
    },
  };
}

/** Observes every request by its route's pattern. @param unknown code of the problem of a path that is no route. */
export function observed(metrics: RequestMetrics, clock: Clock, unknown: string): MiddlewareHandler {
  return async (c, next) => {
    const begun = clock.monotonic();
    await next();
    const refused = c.res.headers.get("content-type") === PROBLEM_MEDIA_TYPE;
    const { code } = refused ? await c.res.clone().json() as { code: string } : { code: "ok" };
    const route = code === unknown ? "unknown" : routePath(c, -1);
    metrics.observe(route, code, (clock.monotonic() - begun) / 1000);
  };
}
