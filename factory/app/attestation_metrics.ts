/** Prometheus metrics of the attestation service. Labels are routes and codes: never a serial, a chip or a key. */

import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** The metrics. */
export interface AttestationMetrics {
  readonly registry: Registry;
  /** Ends one request. `code` is `ok` or the problem's code. */
  observe(route: string, status: number, code: string, seconds: number): void;
  /** Moves the number of requests in work. */
  inFlight(change: 1 | -1): void;
}

const SECONDS = [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 5, 10];

/** Makes the metrics of one instance. */
export function attestationMetrics(): AttestationMetrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: "attestation_requests_total",
    help: "Requests by route, status and problem code.",
    labelNames: ["route", "status", "code"],
    registers,
  });
  const duration = new Histogram({
    name: "attestation_request_duration_seconds",
    help: "Time from the whole request to the whole answer.",
    labelNames: ["route"],
    buckets: SECONDS,
    registers,
  });
  const inFlight = new Gauge({
    name: "attestation_requests_in_flight",
    help: "Requests in work.",
    registers,
  });
  return {
    registry,
    observe(route, status, code, seconds) {
      requests.inc({ route, status: String(status), code });
      duration.observe({ route }, seconds);
    },
    inFlight: (change) => inFlight.inc(change),
  };
}
