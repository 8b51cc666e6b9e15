/** One request and its answer: identifiers, the log line, and every way in which an answer is written. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import { Cancellation } from "../transport/cancellation.ts";
import type { Client } from "../domain/access.ts";
import { downstreamHeaders } from "../domain/forward_headers.ts";
import { problemOf, type Refusal, type RefusalReason, REFUSALS } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import type { RequestReport } from "../service/telemetry.ts";

/** After a refusal this much of an unread body is read and thrown away, so that the client gets to read the answer. */
const LINGER_BYTES = 1_048_576;
/** And no longer than this. */
const LINGER_MS = 1_000;

/** Facts of the line that is written when the exchange is over. */
export type Report = { -readonly [K in keyof RequestReport]: RequestReport[K] };

/** One request and its answer. */
export class Exchange {
  /** Set by the strict reading. */
  request: StrictRequest | undefined;
  readonly gone = new Cancellation();

  constructor(
    readonly incoming: IncomingMessage,
    readonly outgoing: ServerResponse,
    readonly wantsContinue: boolean,
    readonly report: Report,
    /** Whether this connection is to be closed after the answer, because the gateway drains. */
    readonly closing: () => boolean,
  ) {
    // One each for the report, the deadline, the runtime's adapters and streams: more than the default of ten.
    outgoing.setMaxListeners(20);
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) this.gone.abort();
    });
  }

  /** True when nobody is there to read an answer. */
  get isGone(): boolean {
    return this.gone.aborted || this.outgoing.destroyed || !this.incoming.socket?.writable;
  }

  #ownHeaders(more: Readonly<Record<string, string>>, close: boolean): Record<string, string> {
    return {
      ...more,
      "x-request-id": this.report.requestId,
      ...(close || this.closing() ? { connection: "close" } : {}),
    };
  }

  /** Writes the problem of a refusal; the reason goes to the log only. */
  refuse(refusal: Refusal, headers: Readonly<Record<string, string>> = {}): void {
    this.report.reason = refusal.reason;
    if (this.isGone || this.outgoing.headersSent) return void this.outgoing.destroy();
    const body = problemBody(refusal.reason, this.report.requestId);
    const unread = !this.incoming.complete;
    const close = REFUSALS[refusal.reason].close || unread;
    this.report.status = body.status;
    this.outgoing.writeHead(body.status, {
      "content-type": PROBLEM_MEDIA_TYPE,
      "content-length": String(body.bytes.length),
      "cache-control": "no-store",
      ...this.#ownHeaders({ ...headers, ...refusal.headers }, close),
    });
    if (!unread) return void this.outgoing.end(this.incoming.method === "HEAD" ? undefined : body.bytes);
    // Closing with bytes unread makes the kernel send a reset, which can overtake the answer.
    this.outgoing.write(body.bytes);
    this.#linger(() => this.outgoing.end());
  }

  #linger(done: () => void): void {
    let left = LINGER_BYTES;
    const end = () => {
      clearTimeout(timer);
      this.incoming.off("data", onData);
      done();
    };
    const onData = (part: Uint8Array) => {
      left -= part.length;
      if (left < 0) end();
    };
    const timer = setTimeout(end, LINGER_MS);
    this.incoming.on("data", onData);
    this.incoming.once("end", end);
    this.incoming.once("close", end);
    this.incoming.resume();
  }

  /** Passes an upstream's answer on; resolves when it is written, or the client is gone. */
  answer(
    status: number,
    rawHeaders: readonly string[],
    body: Uint8Array | IncomingMessage,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    if (this.isGone) {
      if (!(body instanceof Uint8Array)) body.destroy();
      return Promise.resolve();
    }
    this.report.status = status;
    this.outgoing.writeHead(status, downstreamHeaders(rawHeaders, this.#ownHeaders(headers, false)));
    return new Promise((resolve) => {
      if (body instanceof Uint8Array) return void this.outgoing.end(body, () => resolve());
      // When the upstream breaks off, the client's connection is broken off too: it must not take a part for the whole.
      pipeline(body, this.outgoing, () => resolve());
      this.outgoing.once("close", () => resolve());
    });
  }
}

/** An exchange with a client whose certificate was accepted. */
export type AdmittedExchange = Exchange & {
  /** DER. */
  readonly clientCertificate: Uint8Array;
  client: Client;
};

/** A problem as it goes over the wire. */
export function problemBody(reason: RefusalReason, requestId: string): { status: number; bytes: Uint8Array } {
  const problem = problemOf(reason, requestId);
  return { status: problem.status, bytes: new TextEncoder().encode(JSON.stringify(problem)) };
}

/** A whole HTTP answer for a message that never became a request. */
export function rawProblem(reason: RefusalReason, requestId: string, statusText: string): Uint8Array {
  const { status, bytes } = problemBody(reason, requestId);
  const head = [
    `HTTP/1.1 ${status} ${statusText}`,
    `content-type: ${PROBLEM_MEDIA_TYPE}`,
    `content-length: ${bytes.length}`,
    `x-request-id: ${requestId}`,
    "cache-control: no-store",
    "connection: close",
    "",
    "",
  ].join("\r\n");
  return new Uint8Array([...new TextEncoder().encode(head), ...bytes]);
}

/** Stands in an exchange until its client's verdict is there. */
export const NOBODY: Client = { names: { uris: [], dns: [], subject: [] }, group: undefined };

/** Status texts of answers to messages that never became requests. */
export const MALFORMED: Readonly<
  Record<"overflow" | "timeout" | "malformed", readonly [RefusalReason, string]>
> = {
  overflow: ["headers-too-large", "Request Header Fields Too Large"],
  timeout: ["request-timeout", "Request Timeout"],
  malformed: ["malformed-message", "Bad Request"],
};
