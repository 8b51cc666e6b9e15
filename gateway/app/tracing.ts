/**
 * Spans for a collector inside the trust zone (OpenTelemetry). The runtime exports them by itself, outside of the process's
 * permissions, to the address in its environment (`tracingEnvironment`); here they are begun and ended. Each span is the root of a
 * trace of its own: what a client sends as trace context is dropped at the border, and clients never learn ours.
 */

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

/** What is used of the runtime's tracer, whose interface is OpenTelemetry's. */
interface Tracer {
  startSpan(
    name: string,
    options: { root: boolean; kind: number; attributes: Readonly<Record<string, string | number>> },
  ): Span;
}
interface Span {
  spanContext(): { readonly traceId: string; readonly spanId: string; readonly traceFlags: number };
  isRecording(): boolean;
  setAttribute(name: string, value: string | number): unknown;
  setStatus(status: { code: number }): unknown;
  end(): void;
}

const SERVER_KIND = 1;
const ERROR_STATUS = 2;

function runtimeTracer(): Tracer {
  const { tracerProvider } = (Deno as unknown as {
    telemetry: { tracerProvider: { getTracer(name: string): Tracer } };
  }).telemetry;
  return tracerProvider.getTracer("gateway");
}

/** Begins spans; `share` of the requests get one. */
export class Tracing {
  readonly #tracer: Tracer;

  constructor(readonly share: number, tracer: Tracer = runtimeTracer()) {
    this.#tracer = tracer;
  }

  /** Begins the span of a request that is about to be forwarded. */
  begin(route: string, method: string): RequestSpan {
    // Without a span the upstream is told not to make one either.
    if (Math.random() >= this.share) return unsampled();
    const span = this.#tracer.startSpan(`${method} ${route}`, {
      root: true,
      kind: SERVER_KIND,
      attributes: { "http.request.method": method, "http.route": route },
    });
    if (!span.isRecording()) return unsampled();
    const { traceId, spanId } = span.spanContext();
    return {
      traceparent: `00-${traceId}-${spanId}-01`,
      end: ({ requestId, status, reason, attempts, instance }) => {
        span.setAttribute("gateway.request_id", requestId);
        span.setAttribute("http.response.status_code", status);
        if (reason !== undefined) span.setAttribute("gateway.reason", reason);
        if (attempts !== undefined) span.setAttribute("gateway.attempts", attempts);
        if (instance !== undefined) span.setAttribute("server.address", instance);
        if (status >= 500 || status === 0) span.setStatus({ code: ERROR_STATUS });
        span.end();
      },
    };
  }
}

function unsampled(): RequestSpan {
  return { traceparent: `${newTraceparent().slice(0, -2)}00`, end: () => {} };
}

/** Environment with which the runtime exports spans, and nothing else of its own accord. */
export function tracingEnvironment(
  tracing: { readonly endpoint: string } | undefined,
): Record<string, string> {
  if (tracing === undefined) return {};
  return {
    OTEL_DENO: "true",
    OTEL_DENO_CONSOLE: "ignore",
    OTEL_SERVICE_NAME: "gateway",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_ENDPOINT: tracing.endpoint.replace(/\/$/, ""),
  };
}
