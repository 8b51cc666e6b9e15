/**
 * Sends spans to an OpenTelemetry collector: OTLP over HTTP, JSON, in batches. What a collector does not take is lost; nobody waits
 * for it. Not the runtime's own exporter: that makes spans of its own of every connection, with paths, and lets clients name the trace.
 */

/** A span that is over. */
export interface FinishedSpan {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly began: number;
  /** Milliseconds since 1970. */
  readonly ended: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly failed: boolean;
}

/** Spans wait this long for others, milliseconds. */
const GATHER_MS = 1_000;
/** Most spans that wait; those beyond are dropped. */
const MAX_WAITING = 2_048;
/** Longest wait for the collector, milliseconds. */
const TIMEOUT_MS = 5_000;
/** OTLP: SPAN_KIND_SERVER. */
const SERVER = 2;
/** OTLP: STATUS_CODE_ERROR. */
const ERROR = 2;

/** Gathers and sends. */
export class SpanExporter {
  readonly #url: string;
  #waiting: FinishedSpan[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param endpoint `http(s)://host:port` of the collector. */
  constructor(endpoint: string) {
    this.#url = new URL("/v1/traces", endpoint).href;
  }

  /** Takes a span. */
  add(span: FinishedSpan): void {
    if (this.#waiting.length >= MAX_WAITING) return;
    this.#waiting.push(span);
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  /** Sends what waits; resolves when it was taken or is lost. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const spans = this.#waiting;
    this.#waiting = [];
    if (spans.length === 0) return;
    try {
      const answer = await fetch(this.#url, {
        method: "POST",
        redirect: "error",
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: { "content-type": "application/json" },
        body: JSON.stringify(exportRequest(spans)),
      });
      await answer.body?.cancel();
    } catch {
      // A collector that is gone is no fault of the gateway.
    }
  }
}

const value = (content: string | number) =>
  typeof content === "number" ? { intValue: String(content) } : { stringValue: content };
const attributesOf = (fields: Readonly<Record<string, string | number>>) =>
  Object.entries(fields).map(([key, content]) => ({ key, value: value(content) }));
const nanoseconds = (ms: number) => String(BigInt(Math.round(ms)) * 1_000_000n);

/** ExportTraceServiceRequest in OTLP's JSON encoding. */
function exportRequest(spans: readonly FinishedSpan[]) {
  return {
    resourceSpans: [{
      resource: { attributes: attributesOf({ "service.name": "gateway" }) },
      scopeSpans: [{
        scope: { name: "gateway" },
        spans: spans.map(({ traceId, spanId, name, began, ended, attributes, failed }) => ({
          traceId,
          spanId,
          name,
          kind: SERVER,
          startTimeUnixNano: nanoseconds(began),
          endTimeUnixNano: nanoseconds(ended),
          attributes: attributesOf(attributes),
          status: failed ? { code: ERROR } : {},
        })),
      }],
    }],
  };
}
