/** Prometheus metrics of a provider's node. Labels are routes and codes: never a session, an identifier or a reason. */

import { Counter, Histogram, Registry } from "prom-client";

/** The metrics. */
export interface NodeMetrics {
  readonly registry: Registry;
  /** Ends one request. `code` is `ok` or the problem's code. */
  observe(route: string, code: string, seconds: number): void;
}

/** Makes the metrics of one instance. */
export function nodeMetrics(): NodeMetrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: "provider_requests_total",
    help: "Requests by route and problem code.",
    labelNames: ["route", "code"],
    registers,
  });
  const duration = new Histogram({
    name: "provider_request_duration_seconds",
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
