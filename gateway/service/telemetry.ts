/**
 * What a gateway tells its operators: Prometheus metrics and log lines. Labels have few values by construction
 * (route names, reasons, pools, instances): never an identity, an address or a path. Lines never hold bodies or
 * header values. Refused connections are logged at a bounded rate, so that a flood does not fill the disk.
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { LogFields, Logger } from "shared/base/log.ts";
import type { Clock } from "shared/transport/clock.ts";
import { decideLimit, type LimitRule } from "../domain/limit.ts";
import { Activity } from "./activity.ts";
import type { Outbound } from "./outbound.ts";

/** Lines about refused connections: this many a second on average, with as many at once. */
const CONNECTION_LINES: LimitRule = { name: "connection-lines", quota: 10, windowSeconds: 1, burst: 50 };
/** Bounds of the duration histogram in seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** One finished request. */
export interface RequestReport {
  /** What the client was told. */
  readonly requestId: string;
  /** What the upstream was told: another one. Absent when nothing was forwarded. */
  readonly upstreamRequestId?: string;
  /** Undefined when no certificate was accepted. */
  readonly identity?: string;
  readonly address: string;
  /** Route name; `none` when no route was found. */
  readonly route: string;
  readonly method: string;
  /** Without query, which may hold what is nobody's business. */
  readonly path: string;
  /** 0 when the client was gone before an answer. */
  readonly status: number;
  readonly ms: number;
  readonly reason?: string;
  readonly instance?: string;
  readonly attempts?: number;
  /** Of the answer, head included, before encryption. */
  readonly bytes?: number;
}

/** Metrics and log of one gateway. */
export class Telemetry {
  readonly registry = new Registry();
  /** For the status page. */
  readonly activity: Activity;
  /** Set when the gateway starts to count what leaves. */
  outbound: Outbound | undefined;
  readonly #requests = this.#counter("gateway_requests_total", "Requests by route and status", [
    "route",
    "status",
  ]);
  readonly #refusals = this.#counter("gateway_refusals_total", "Refused requests by reason", [
    "route",
    "reason",
  ]);
  readonly #seconds = new Histogram({
    name: "gateway_request_seconds",
    help: "Time from the end of the headers to the end of the answer",
    labelNames: ["route"],
    buckets: SECONDS,
    registers: [this.registry],
  });
  readonly #connections = this.#gauge("gateway_connections", "Open TCP connections", []);
  readonly #inFlight = this.#gauge("gateway_requests_in_flight", "Requests that are being answered", []);
  readonly #connectionsRefused = this.#counter(
    "gateway_connections_refused_total",
    "Connections refused before any request, by reason",
    ["reason"],
  );
  readonly #attempts = this.#counter(
    "gateway_upstream_attempts_total",
    "Attempts by pool, instance and outcome",
    ["pool", "instance", "outcome"],
  );
  readonly #failovers = this.#counter(
    "gateway_failovers_total",
    "Requests that went to a second instance",
    ["pool"],
  );
  readonly #health = this.#gauge("gateway_upstream_up", "1 when an instance is up", ["pool", "instance"]);
  readonly #ready = this.#gauge("gateway_ready", "1 when the gateway serves", []);
  readonly #revocation = this.#gauge(
    "gateway_revocation_next_update_seconds",
    "When an authority's revocation list is due, seconds since 1970; 0 without a list",
    ["authority"],
  );
  #lines: number | undefined;
  #suppressed = 0;

  constructor(readonly logger: Logger, readonly clock: Clock) {
    this.activity = new Activity(clock);
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string, labelNames: string[]): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  /** A request is over. */
  request(report: RequestReport): void {
    this.#requests.inc({ route: report.route, status: String(report.status) });
    this.#seconds.observe({ route: report.route }, report.ms / 1000);
    if (report.reason !== undefined) this.#refusals.inc({ route: report.route, reason: report.reason });
    this.activity.request(report);
    if (report.bytes !== undefined) this.outbound?.add(`route ${report.route}`, report.bytes);
    this.logger.info("request", { ...report });
  }

  /** A connection was refused before any request. */
  connectionRefused(reason: string, fields: LogFields): void {
    this.#connectionsRefused.inc({ reason });
    this.activity.connectionRefused(reason);
    const decision = decideLimit(CONNECTION_LINES, this.#lines, this.clock.monotonic());
    this.#lines = decision.arrival;
    if (!decision.allowed) return void this.#suppressed++;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.logger.warning("connection-refused", {
      reason,
      ...fields,
      ...(suppressed > 0 ? { suppressed } : {}),
    });
  }

  connections(open: number): void {
    this.#connections.set(open);
  }
  inFlight(requests: number): void {
    this.#inFlight.set(requests);
  }
  ready(ready: boolean): void {
    this.#ready.set(ready ? 1 : 0);
  }
  attempt(pool: string, instance: string, outcome: string): void {
    this.#attempts.inc({ pool, instance, outcome });
  }
  failover(pool: string): void {
    this.#failovers.inc({ pool });
  }
  revocation(authority: string, nextUpdateMs: number): void {
    this.#revocation.set({ authority }, nextUpdateMs / 1000);
  }
  health(pool: string, instance: string, state: string, cause: string): void {
    this.#health.set({ pool, instance }, state === "up" ? 1 : 0);
    this.logger.info("upstream-health", { pool, instance, state, cause });
  }
}
