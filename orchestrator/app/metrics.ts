/** Prometheus metrics of an orchestrator: its requests, and how often a provider had to be asked elsewhere. */

import { Counter } from "prom-client";
import { type RequestMetrics, requestMetrics } from "shared/service/request_metrics.ts";

/** The metrics. */
export interface OrchestratorMetrics extends RequestMetrics {
  /** An address of a provider did not answer, and another one is asked. */
  failover(provider: string): void;
}

/** Makes the metrics of one instance. */
export function orchestratorMetrics(): OrchestratorMetrics {
  const requests = requestMetrics("orchestrator");
  const failovers = new Counter({
    name: "orchestrator_failovers_total",
    help: "Addresses of a provider that did not answer, by provider.",
    labelNames: ["provider"],
    registers: [requests.registry],
  });
  return { ...requests, failover: (provider) => failovers.inc({ provider }) };
}
