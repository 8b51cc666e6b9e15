/** One request and its answer on one connection to an instance. Small answers come whole; others stream, as fast as the client takes them. */

import { Buffer } from "node:buffer";
import type { Cancel } from "../cancellation.ts";
import { headAndBody } from "../http1/latin1.ts";
import { type RequestBody, StreamedBody } from "../request_body.ts";
import type { UpstreamAnswer, UpstreamRequest } from "../upstream_client.ts";
import { ABORTED_CODE, UpstreamBody } from "./answer_body.ts";
import type { AnswerHead } from "./answer_head.ts";
import type { AnswerSink, UpstreamConnection } from "./connection.ts";

/** Answers with a declared length up to this come whole, so that an instance that dies in the middle is no loss; bytes. */
export const WHOLE_ANSWER_BYTES = 65_536;
const EMPTY = Buffer.alloc(0);

/** Sends a request on a connection that nobody uses. */
export function exchange(connection: UpstreamConnection, request: UpstreamRequest): Promise<UpstreamAnswer> {
  return new Promise((resolve) =>
    new UpstreamExchange(connection, request.body, request.signal, resolve).begin(request)
  );
}

/** What comes of one request. An object with methods: as functions of their own they would be most of what a request leaves behind. */
class UpstreamExchange implements AnswerSink {
  #head: AnswerHead | undefined;
  /** Of an answer that comes whole, so far. */
  #content: Uint8Array | undefined;
  #parts: Uint8Array[] | undefined;
  #stream: UpstreamBody | undefined;
  readonly #abort = () => this.connection.cut(ABORTED_CODE);

  constructor(
    readonly connection: UpstreamConnection,
    readonly body: RequestBody,
    readonly signal: Cancel,
    readonly resolve: (answer: UpstreamAnswer) => void,
  ) {}

  /** The head of the request is not kept while its answer is waited for. */
  begin(request: UpstreamRequest): void {
    const { connection, signal, body } = this;
    if (signal.aborted) {
      connection.released(true);
      return this.resolve({ kind: "failed", sent: false, code: ABORTED_CODE });
    }
    signal.addEventListener("abort", this.#abort);
    const isStreaming = body instanceof StreamedBody;
    connection.begin(request.method, firstBytes(request), !isStreaming, this);
    if (isStreaming) body.pump(connection);
  }

  head(answer: AnswerHead): void {
    this.#head = answer;
    const { framing, status, rawHeaders } = answer;
    if (framing.kind === "none" || framing.kind === "length" && framing.length <= WHOLE_ANSWER_BYTES) return;
    this.#stream = new UpstreamBody(this.connection);
    this.resolve({ kind: "answer", status, rawHeaders, body: this.#stream });
  }

  data(bytes: Uint8Array): void {
    if (this.#stream !== undefined) this.#stream.data(bytes);
    else if (this.#content === undefined) this.#content = bytes;
    else if (this.#parts === undefined) this.#parts = [this.#content, bytes];
    else this.#parts.push(bytes);
  }

  end(): void {
    this.#over();
    if (this.#stream !== undefined) return this.#stream.end();
    const { status, rawHeaders } = this.#head!;
    const body = this.#parts === undefined ? this.#content ?? EMPTY : Buffer.concat(this.#parts);
    this.resolve({ kind: "answer", status, rawHeaders, body });
  }

  lost(code: string): void {
    this.#over();
    if (this.#stream !== undefined) return this.#stream.lost(code);
    this.resolve({
      kind: "failed",
      sent: true,
      code: this.#head === undefined ? code : "ANSWER_INCOMPLETE",
    });
  }

  #over(): void {
    this.signal.removeEventListener("abort", this.#abort);
    if (this.body instanceof StreamedBody) this.body.stop();
  }
}

/** The head, and a body that is whole: one write for both is one packet, one TLS record. */
function firstBytes({ method, target, headers, body }: UpstreamRequest): Uint8Array | string {
  let head = `${method} ${target} HTTP/1.1\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  head += "\r\n";
  return body instanceof Uint8Array ? headAndBody(head, body) : head;
}
