/**
 * Spans for a collector inside the trust zone (OpenTelemetry). Each span is the root of a trace of its own: what a client sends as
 * trace context is dropped at the border, and clients never learn ours.
 */

import type { Clock } from "shared/transport/clock.ts";
import { SpanExporter } from "../transport/span_exporter.ts";
import { newTraceparent } from "./trace.ts";

/** A request's span. */
export interface RequestSpan {
  /** W3C trace context for the upstream. */
  readonly traceparent: string;
  /** Ends it with what became of the request. */
  end(outcome: SpanOutcome): void;
}

/** What a span tells. No identity, no address, no path: a collector is not the log. */
export interface SpanOutcome {
  /** What the client was told, by which the log line is found. */
  readonly requestId: string;
  readonly status: number;
  readonly reason?: string;
  readonly attempts?: number;
  readonly instance?: string;
}

/** What is configured. */
export interface TracingOptions {
  /** `http(s)://host:port` of the collector. */
  readonly endpoint: string;
  /** Share of the requests that get a span. */
  readonly share: number;
}

/** Begins spans. */
export class Tracing {
  readonly #exporter: SpanExporter;

  constructor(readonly options: TracingOptions, readonly clock: Clock) {
    this.#exporter = new SpanExporter(options.endpoint);
  }

  /** Begins the span of a request that is about to be forwarded. */
  begin(route: string, method: string): RequestSpan {
    const traceparent = newTraceparent();
    // Without a span the upstream is told not to make one either.
    if (Math.random() >= this.options.share) {
      return { traceparent: `${traceparent.slice(0, -2)}00`, end: () => {} };
    }
    const [, traceId = "", spanId = ""] = traceparent.split("-");
    const began = this.clock.now();
    return {
      traceparent,
      end: ({ requestId, status, reason, attempts, instance }) =>
        this.#exporter.add({
          traceId,
          spanId,
          name: `${method} ${route}`,
          began,
          ended: this.clock.now(),
          attributes: {
            "http.request.method": method,
            "http.route": route,
            "gateway.request_id": requestId,
            "http.response.status_code": status,
            ...(reason === undefined ? {} : { "gateway.reason": reason }),
            ...(attempts === undefined ? {} : { "gateway.attempts": attempts }),
            ...(instance === undefined ? {} : { "server.address": instance }),
          },
          failed: status >= 500 || status === 0,
        }),
    };
  }

  /** Sends what waits. */
  async close(): Promise<void> {
    await this.#exporter.flush();
  }
}
