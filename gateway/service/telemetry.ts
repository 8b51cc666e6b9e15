/**
 * What a gateway tells its operators: Prometheus metrics and log lines. Labels have few values by construction
 * (route names, reasons, pools, instances): never an identity, an address or a path. Lines never hold bodies or
 * header values. Refused connections are logged at a bounded rate, so that a flood does not fill the disk.
 */

import { Counter, Gauge, Registry } from "prom-client";
import { codeOf } from "shared/base/errors.ts";
import type { LogFields, Logger } from "shared/base/log.ts";
import { type EventLog, NO_EVENT_LOG } from "shared/log/writer/event_log.ts";
import type { Clock } from "shared/transport/clock.ts";
import { decideLimit, type LimitRule } from "../domain/limit.ts";
import { Activity } from "./activity.ts";
import { Durations } from "./durations.ts";
import type { Outbound } from "./outbound.ts";
import { Tally } from "./tally.ts";

/** Lines about refused connections: this many a second on average, with as many at once. */
const CONNECTION_LINES: LimitRule = { name: "connection-lines", quota: 10, windowSeconds: 1, burst: 50 };
/** Bounds of the duration histogram in seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** One finished request. */
export type RequestReport = {
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
  /** Which part of the request the reason speaks of. */
  readonly detail?: string;
  /** The reason for which a rule in dry run would have refused. */
  readonly wouldRefuse?: string;
  /** Limits that refused the request, by name. */
  readonly rules?: readonly string[];
  /** Limits that would have refused it, were they no dry run. */
  readonly dryRun?: readonly string[];
  readonly instance?: string;
  readonly attempts?: number;
  /** Of the answer, head included, before encryption. */
  readonly bytes?: number;
};

/** Metrics and log of one gateway. */
export class Telemetry {
  readonly registry = new Registry();
  /** For the status page. */
  readonly activity: Activity;
  /** Set when the gateway starts to count what leaves. */
  outbound: Outbound | undefined;
  readonly #requests = new Tally(
    "gateway_requests_total",
    "Requests by route and status",
    ["route", "status"],
    this.registry,
  );
  readonly #refusals = this.#counter("gateway_refusals_total", "Refused requests by reason", [
    "route",
    "reason",
  ]);
  readonly #dryRuns = this.#counter(
    "gateway_dry_run_refusals_total",
    "Requests that a rule in dry run would have refused, by reason",
    ["route", "reason"],
  );
  readonly #seconds = new Durations({
    name: "gateway_request_seconds",
    help: "Time from the end of the headers to the end of the answer",
    label: "route",
    bounds: SECONDS,
  }, this.registry);
  readonly #connections = this.#gauge("gateway_connections", "Open TCP connections", []);
  #inFlight = 0;
  readonly #connectionsRefused = this.#counter(
    "gateway_connections_refused_total",
    "Connections refused before any request, by reason",
    ["reason"],
  );
  readonly #attempts = new Tally(
    "gateway_upstream_attempts_total",
    "Attempts by pool, instance and outcome",
    ["pool", "instance", "outcome"],
    this.registry,
  );
  readonly #failovers = this.#counter(
    "gateway_failovers_total",
    "Requests that went to a second instance",
    ["pool"],
  );
  readonly #breaker = this.#gauge(
    "gateway_upstream_breaker_open",
    "1 while requests are kept from an instance",
    [
      "pool",
      "instance",
    ],
  );
  readonly #retriesRefused = this.#counter(
    "gateway_retries_refused_total",
    "Retries that were not made, because the budget was empty",
    ["pool"],
  );
  readonly #health = this.#gauge("gateway_upstream_up", "1 when an instance is up", ["pool", "instance"]);
  readonly #limitStore = this.#gauge("gateway_limit_store_up", "1 when the shared limit store answers", []);
  readonly #rules = this.#counter("gateway_rules_total", "Limits that fired, by rule and outcome", [
    "rule",
    "outcome",
  ]);
  readonly #ready = this.#gauge("gateway_ready", "1 when the gateway serves", []);
  readonly #revocation = this.#gauge(
    "gateway_revocation_next_update_seconds",
    "When an authority's revocation list is due, seconds since 1970; 0 without a list",
    ["authority"],
  );
  #lines: number | undefined;
  #suppressed = 0;

  /** @param events the tamper-evident log: what is refused is counted there. */
  constructor(readonly logger: Logger, readonly clock: Clock, readonly events: EventLog = NO_EVENT_LOG) {
    this.activity = new Activity(clock);
    const inFlight = () => this.#inFlight;
    new Gauge({
      name: "gateway_requests_in_flight",
      help: "Requests that are being answered",
      registers: [this.registry],
      collect() {
        this.set(inFlight());
      },
    });
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string, labelNames: string[]): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  /** A request is over. */
  request(report: RequestReport): void {
    this.#requests.add(report.route, String(report.status));
    this.#seconds.add(report.route, report.ms / 1000);
    if (report.reason !== undefined) this.#refusals.inc({ route: report.route, reason: report.reason });
    if (report.reason !== undefined) {
      const { identity, address, route, reason } = report;
      this.events.tell("gateway.request-refused", {
        actor: identity === undefined
          ? { kind: "address", identifier: address }
          : { kind: "client", identifier: identity },
        subject: { kind: "route", identifier: route },
        outcome: "refused",
        reason,
      });
    }
    if (report.wouldRefuse !== undefined) {
      this.#dryRuns.inc({ route: report.route, reason: report.wouldRefuse });
    }
    this.activity.request(report);
    if (report.bytes !== undefined) this.outbound?.add(routeDestination(report.route), report.bytes);
    this.logger.info("request", report);
  }

  /** A connection was refused before any request. */
  connectionRefused(reason: string, fields: LogFields): void {
    this.#connectionsRefused.inc({ reason });
    const { address } = fields;
    this.events.tell("gateway.connection-refused", {
      actor: { kind: "address", identifier: typeof address === "string" && address ? address : "unknown" },
      outcome: "refused",
      reason,
    });
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

  /** The gateway itself failed at something. */
  fault(
    event: "verification-fault" | "request-fault",
    fields: LogFields & { readonly error: unknown },
  ): void {
    this.logger.error(event === "request-fault" ? "request-fault" : "verification-fault", fields);
    this.events.tell(`gateway.${event}`, {
      actor: this.events.self,
      outcome: "failed",
      reason: codeOf(fields.error),
    });
  }

  connections(open: number): void {
    this.#connections.set(open);
  }
  inFlight(requests: number): void {
    this.#inFlight = requests;
  }
  ready(ready: boolean): void {
    this.#ready.set(ready ? 1 : 0);
  }
  attempt(pool: string, instance: string, outcome: string): void {
    this.#attempts.add(pool, instance, outcome);
  }
  /** The shared store of limits answers again, or no longer. */
  limitStore(up: boolean, cause: string): void {
    this.#limitStore.set(up ? 1 : 0);
    this.events.tell(up ? "gateway.limit-store-up" : "gateway.limit-store-down", {
      actor: this.events.self,
      outcome: up ? "done" : "failed",
    });
    const level = up ? "info" : "error";
    this.logger[level]("limit-store", { state: up ? "up" : "gone", cause });
  }
  /** An address is banned from here on, or would be, were bans no dry run. */
  banned(address: string, seconds: number, offence: string, dryRun: boolean): void {
    if (!dryRun) {
      this.events.tell("gateway.address-banned", {
        actor: this.events.self,
        subject: { kind: "address", identifier: address },
      });
    }
    this.logger.warning("address-banned", { address, seconds, offence, dryRun });
  }
  /** A limit refused a request, or would have, were it no dry run. */
  rule(rule: string, outcome: "refused" | "dry-run"): void {
    this.#rules.inc({ rule, outcome });
  }
  failover(pool: string): void {
    this.#failovers.inc({ pool });
  }
  revocation(authority: string, nextUpdateMs: number): void {
    this.#revocation.set({ authority }, nextUpdateMs / 1000);
  }
  /** A breaker of a pool changed its state. */
  breaker(pool: string, instance: string, state: string, cause: string): void {
    this.#breaker.set({ pool, instance }, state === "closed" ? 0 : 1);
    if (state !== "half-open") {
      this.events.tell(state === "closed" ? "gateway.breaker-closed" : "gateway.breaker-open", {
        actor: this.events.self,
        subject: { kind: "instance", identifier: instance },
        outcome: state === "closed" ? "done" : "failed",
      });
    }
    this.logger.info("upstream-breaker", { pool, instance, state, cause });
  }
  /** A retry was not made, because the budget is empty. */
  retryRefused(pool: string): void {
    this.#retriesRefused.inc({ pool });
  }
  health(pool: string, instance: string, state: string, cause: string): void {
    this.#health.set({ pool, instance }, state === "up" ? 1 : 0);
    this.events.tell(state === "up" ? "gateway.upstream-up" : "gateway.upstream-down", {
      actor: this.events.self,
      subject: { kind: "instance", identifier: instance },
      outcome: state === "up" ? "done" : "failed",
    });
    this.logger.info("upstream-health", { pool, instance, state, cause });
  }
}

const destinations = new Map<string, string>();

/** Made once for each route: a text that is put together anew has to be hashed anew. */
function routeDestination(route: string): string {
  let made = destinations.get(route);
  if (made === undefined) destinations.set(route, made = `route ${route}`);
  return made;
}
