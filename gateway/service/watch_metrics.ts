/** Metrics that tell of the process and of what it holds, and those of outbound bytes. Read when Prometheus asks. */

import { Counter, Gauge } from "prom-client";
import type { OutboundRule } from "../domain/outbound.ts";
import { Outbound, type OutboundState } from "./outbound.ts";
import type { Telemetry } from "./telemetry.ts";

/** A certificate in use. */
export interface CertificateInUse {
  /** What it is for: `listener`, `upstream NAME`, `authority NAME`. */
  readonly use: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** What the metrics read. */
export interface WatchSources {
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** 1 for the configuration of the start, one more for each that was taken. */
  readonly generation: () => number;
  /** Of the configuration, milliseconds since 1970. */
  readonly loadedAt: () => number;
  readonly certificates: () => readonly CertificateInUse[];
}

/** Registers gauges about the process, its configuration and its certificates. */
export function registerWatchMetrics({ registry }: Telemetry, sources: WatchSources): void {
  const gauge = (name: string, help: string, value: () => number) => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  };
  gauge(
    "process_start_time_seconds",
    "When the process started, seconds since 1970",
    () => sources.startedAt / 1000,
  );
  gauge("process_resident_memory_bytes", "Memory that the process has", () => Deno.memoryUsage().rss);
  gauge("process_heap_bytes", "Heap that is used", () => Deno.memoryUsage().heapUsed);
  gauge(
    "gateway_config_generation",
    "How many configurations were taken since the start",
    sources.generation,
  );
  gauge(
    "gateway_config_loaded_timestamp_seconds",
    "When the configuration was taken, seconds since 1970",
    () => sources.loadedAt() / 1000,
  );
  new Gauge({
    name: "gateway_certificate_expiry_timestamp_seconds",
    help: "When a certificate in use ends, seconds since 1970",
    labelNames: ["use"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { use, notAfter } of sources.certificates()) this.set({ use }, notAfter / 1000);
    },
  });
}

/** Begins to count what leaves: metrics, and a line for each alarm. */
export function watchOutbound(telemetry: Telemetry, rule: OutboundRule): Outbound {
  const { registry, logger } = telemetry;
  const labelNames = ["destination"];
  const bytes = new Counter({
    name: "gateway_outbound_bytes_total",
    help: "Bytes sent, by route (answers) or instance (requests), before encryption; whole windows",
    labelNames,
    registers: [registry],
  });
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers: [registry] });
  const baseline = gauge("gateway_outbound_baseline_bytes", "What is usual in a window");
  const allowed = gauge("gateway_outbound_allowed_bytes", "Most bytes in a window that are no alarm");
  const alarm = gauge("gateway_outbound_alarm", "1 while more leaves than should");
  const changed = (change: "raised" | "cleared", state: OutboundState) => {
    const { destination, windowBytes, baselineBytes, allowedBytes } = state;
    const fields = { change, destination, windowBytes, baselineBytes, allowedBytes };
    const [kind, first = "", second = first] = destination.split(" ");
    telemetry.events.tell("gateway.outbound-alarm", {
      actor: telemetry.events.self,
      subject: kind === "upstream"
        ? { kind: "instance", identifier: second }
        : { kind: "route", identifier: first || destination },
      outcome: change === "raised" ? "failed" : "done",
    });
    if (change === "raised") logger.error("outbound-alarm", fields);
    else logger.warning("outbound-alarm", fields);
  };
  const outbound = new Outbound(rule, changed, (state, sent) => {
    const labels = { destination: state.destination };
    bytes.inc(labels, sent);
    baseline.set(labels, state.baselineBytes);
    allowed.set(labels, state.allowedBytes);
    alarm.set(labels, state.alarmed ? 1 : 0);
  });
  telemetry.outbound = outbound;
  outbound.start();
  return outbound;
}
