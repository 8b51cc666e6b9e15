/** One request and its answer: identifiers, the log line, and every way in which an answer is written. */

import { STATUS_CODES } from "node:http";
import { PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import type { Client } from "../domain/access.ts";
import { downstreamHeaders } from "../domain/forward_headers.ts";
import { problemOf, type Refusal, type RefusalReason, REFUSALS } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import type { RateKeys } from "../service/rate_keys.ts";
import type { RequestReport } from "../service/telemetry.ts";
import { Cancellation } from "../transport/cancellation.ts";
import { type Listeners, listenersWith, tell } from "../transport/listeners.ts";
import type { Http1Answer } from "../transport/http1/answer.ts";
import type { Http1Request } from "../transport/http1/request.ts";
import { ABORTED_CODE, ANSWER_TOO_LARGE, UpstreamBody } from "../transport/upstream/answer_body.ts";
import type { UpstreamAnswered } from "../transport/upstream_client.ts";

/** After a refusal this much of an unread body is read and thrown away, so that the client gets to read the answer. */
const LINGER_BYTES = 1_048_576;
/** And no longer than this. */
const LINGER_MS = 1_000;

/** A verified client of a connection. */
export interface Peer {
  /** As DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly address: string;
  readonly keys: RateKeys;
}

/** Facts of the line that is written when the exchange is over. */
export type Report = { -readonly [K in keyof RequestReport]: RequestReport[K] };

/** One request and its answer. */
export class Exchange {
  /** Set when the verdict on the client is there. */
  client: Client = NOBODY;
  readonly gone = new Cancellation();
  #leaving: Listeners;
  #body: UpstreamBody | Uint8Array | undefined;

  constructor(
    readonly incoming: Http1Request,
    readonly outgoing: Http1Answer,
    readonly wantsContinue: boolean,
    readonly request: StrictRequest,
    readonly peer: Peer,
    readonly report: Report,
    /** Whether this connection is to be closed after the answer, because the gateway drains. */
    readonly closing: () => boolean,
  ) {
    outgoing.on("close", () => this.#over());
  }

  #over(): void {
    if (!this.outgoing.writableFinished) {
      // Before the line in the log, which is written when this event is over; what was known before stays.
      this.report.reason ??= "client-gone";
      this.gone.abort();
    }
    tell(this.#leaving);
  }

  /** True when nobody is there to read an answer. */
  get isGone(): boolean {
    return this.gone.aborted || this.outgoing.destroyed || !this.incoming.socket?.writable;
  }

  /** Calls `leave` when the exchange is over, at once when it is. */
  atEnd(leave: () => void): void {
    if (this.outgoing.closed || this.outgoing.destroyed) leave();
    else this.#leaving = listenersWith(this.#leaving, leave);
  }

  /** Of the answer so far, head included, before encryption. */
  get bytes(): number {
    const body = this.#body instanceof UpstreamBody ? this.#body.bytes : this.#body?.length ?? 0;
    return this.outgoing.headBytes + body;
  }

  /** Adds what every answer carries. */
  #ownHeaders(headers: Record<string, string>, close: boolean): Record<string, string> {
    headers["x-request-id"] = this.report.requestId;
    if (close || this.closing()) headers["connection"] = "close";
    return headers;
  }

  /** Notes what a dry run would have refused. */
  observe(refusal: Refusal): void {
    this.report.wouldRefuse = refusal.reason;
    if (refusal.detail !== undefined) this.report.detail = refusal.detail;
  }

  /** Writes the problem of a refusal; the reason goes to the log only. */
  refuse(refusal: Refusal, headers: Readonly<Record<string, string>> = {}): void {
    this.report.reason = refusal.reason;
    if (refusal.detail !== undefined) this.report.detail = refusal.detail;
    if (this.isGone || this.outgoing.headersSent) return void this.outgoing.destroy();
    const body = problemBody(refusal.reason, this.report.requestId);
    const unread = !this.incoming.complete;
    const close = REFUSALS[refusal.reason].close || unread;
    this.report.status = body.status;
    this.#body = body.bytes;
    const own = this.#ownHeaders({
      "content-type": PROBLEM_MEDIA_TYPE,
      "content-length": String(body.bytes.length),
      "cache-control": "no-store",
      ...headers,
      ...refusal.headers,
    }, close);
    this.outgoing.writeHead(body.status, Object.entries(own).flat());
    if (!unread) return void this.outgoing.end(this.incoming.method === "HEAD" ? undefined : body.bytes);
    // Closing with bytes unread makes the kernel send a reset, which can overtake the answer.
    this.outgoing.write(body.bytes);
    this.#linger(() => this.outgoing.end());
  }

  #linger(done: () => void): void {
    let left = LINGER_BYTES;
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      this.incoming.off("data", onData);
      done();
      // The runtime leaves a connection open whose client hung up within a body that nobody wanted.
      const last = setTimeout(() => this.incoming.socket?.destroy(), LINGER_MS);
      this.outgoing.on("close", () => clearTimeout(last));
    };
    const onData = (part: Uint8Array) => {
      left -= part.length;
      if (left < 0) end();
    };
    const timer = setTimeout(end, LINGER_MS);
    this.incoming.on("data", onData);
    this.incoming.on("end", end);
    this.incoming.on("close", end);
    this.incoming.resume();
  }

  /**
   * Passes an upstream's answer on: at once when it is whole, else as it comes.
   * @returns Whether the instance did its part.
   */
  answer(
    { status, rawHeaders, body }: UpstreamAnswered,
    headers: Readonly<Record<string, string>>,
    maxBytes: number,
  ): boolean | Promise<boolean> {
    if (this.isGone) {
      if (body instanceof UpstreamBody) body.cancel();
      return true;
    }
    this.report.status = status;
    // An early answer: the rest of the request is not wanted, and the connection cannot carry another one.
    const early = !this.incoming.complete;
    this.#body = body;
    this.outgoing.writeHead(status, downstreamHeaders(rawHeaders, this.#ownHeaders({ ...headers }, early)));
    if (body instanceof UpstreamBody) return this.#stream(body, maxBytes);
    this.#finish(body);
    return true;
  }

  async #stream(body: UpstreamBody, maxBytes: number): Promise<boolean> {
    const outcome = await body.pass(this.outgoing, maxBytes);
    if (outcome.kind === "whole") {
      this.#finish(undefined);
      return true;
    }
    // The client's connection is broken off too: it must not take a part for the whole.
    // Who leaves has the request given up before its answer is: that is no failure of the instance.
    const isGone = outcome.kind === "client-gone" || this.gone.aborted;
    this.report.reason = isGone ? "client-gone" : CUT[outcome.code] ?? "upstream-cut";
    this.outgoing.destroy();
    return isGone;
  }

  #finish(rest: Uint8Array | undefined): void {
    if (this.incoming.complete) return this.outgoing.end(rest);
    if (rest !== undefined && rest.length > 0) this.outgoing.write(rest);
    this.#linger(() => this.outgoing.end());
  }
}

/** Why an answer was cut in the middle, for the log: code of the connection -> reason. */
const CUT: Readonly<Record<string, string>> = {
  [ANSWER_TOO_LARGE]: "upstream-answer-too-large",
  [ABORTED_CODE]: "upstream-deadline",
};

/** A problem as it goes over the wire. */
export function problemBody(reason: RefusalReason, requestId: string): { status: number; bytes: Uint8Array } {
  const problem = problemOf(reason, requestId);
  return { status: problem.status, bytes: new TextEncoder().encode(JSON.stringify(problem)) };
}

/** A whole HTTP answer for a message that never became a request; one to HEAD has no content. */
export function rawProblem(reason: RefusalReason, requestId: string, isHead: boolean): Uint8Array {
  const { status, bytes } = problemBody(reason, requestId);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    `content-type: ${PROBLEM_MEDIA_TYPE}`,
    `content-length: ${bytes.length}`,
    `x-request-id: ${requestId}`,
    "cache-control: no-store",
    "connection: close",
    "",
    "",
  ].join("\r\n");
  return new Uint8Array([...new TextEncoder().encode(head), ...isHead ? [] : bytes]);
}

/** Stands in an exchange until its client's verdict is there. */
export const NOBODY: Client = { names: { uris: [], dns: [], subject: [] }, group: undefined };
