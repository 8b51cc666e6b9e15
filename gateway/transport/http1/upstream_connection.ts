/** One connection to an upstream instance: writes a request, reads its answer, says when it is free again. */

import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { TLSSocket } from "node:tls";
import { headAndBody } from "./latin1.ts";
import { ChunkDecoder, FIELD_VALUE, headEnd, parseResponseHead, type ResponseHead } from "./message.ts";
import type { UpstreamAnswer, UpstreamRequest } from "../upstream_client.ts";

/** Longest head of an answer, bytes. */
export const MAX_ANSWER_HEAD_BYTES = 65_536;
/** Interim answers (1xx) before one answer; more is no honest server. */
const MAX_INTERIM = 8;
const NOTHING = Buffer.alloc(0);

/** What the pool is told. */
export interface ConnectionEvents {
  /** It stands; the first request may be sent. */
  ready(own: UpstreamConnection): void;
  /** It never stood. */
  failed(code: string): void;
  /** Bytes of a request were given to the connection. */
  sent(bytes: number): void;
  /** An answer is whole and another request may be sent. */
  free(own: UpstreamConnection): void;
  closed(own: UpstreamConnection): void;
}

/** An answer that is streamed on: what `node:http` calls IncomingMessage, as far as the gateway uses it. */
class UpstreamMessage extends Readable {
  complete = false;
  readonly statusCode: number;
  readonly rawHeaders: string[];
  /** The connection under it, until the message is whole. */
  constructor(head: ResponseHead, readonly connection: { resume(): void; destroy(): void }) {
    super();
    this.statusCode = head.status;
    this.rawHeaders = head.rawHeaders;
  }
  override _read(): void {
    this.connection.resume();
  }
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.complete) this.connection.destroy();
    callback(error);
  }
}

/** A connection. */
export class UpstreamConnection {
  /** Set by the pool, monotonic milliseconds. */
  idleSince = 0;
  #request: UpstreamRequest | undefined;
  #resolve: ((answer: UpstreamAnswer) => void) | undefined;
  #rest: Buffer = NOTHING;
  #head: ResponseHead | undefined;
  #interim = 0;
  /** Parts of a body that is read whole. */
  #parts: Uint8Array[] | undefined;
  #message: UpstreamMessage | undefined;
  #left = 0;
  #chunks: ChunkDecoder | undefined;
  #stood = false;
  #code = "ECONNRESET";
  readonly #abort = () => this.#fail("ABORTED");

  constructor(readonly socket: Socket, readonly events: ConnectionEvents) {
    socket.once(socket instanceof TLSSocket ? "secureConnect" : "connect", () => {
      this.#stood = true;
      events.ready(this);
    });
    socket.on("data", (bytes: Buffer) => this.#data(bytes));
    socket.on("end", () => this.#ended());
    socket.on("error", (error: NodeJS.ErrnoException) => this.#code = error.code ?? error.name);
    socket.on("close", () => this.#closed());
  }

  /** Closes it, whatever it does. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Sends a request; only when the connection stands and is free. */
  send(request: UpstreamRequest): Promise<UpstreamAnswer> {
    return new Promise((resolve) => {
      this.#request = request;
      this.#resolve = resolve;
      if (request.signal.aborted) {
        this.#request = undefined;
        this.#resolve = undefined;
        resolve({ kind: "failed", sent: false, code: "ABORTED" });
        return this.events.free(this);
      }
      request.signal.addEventListener("abort", this.#abort);
      const head = headText(request);
      this.events.sent(head.length + (request.body?.length ?? 0));
      this.socket.write(headAndBody(head, request.body));
    });
  }

  #data(bytes: Buffer): void {
    // Nobody asked: whatever this is, it must not become somebody's answer.
    if (this.#request === undefined) return this.destroy();
    if (this.#head !== undefined) return this.#body(bytes);
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const end = headEnd(this.#rest, 0);
      if (end < 0) {
        if (this.#rest.length > MAX_ANSWER_HEAD_BYTES) this.#fail("ANSWER_HEAD_TOO_LARGE");
        return;
      }
      const head = end > MAX_ANSWER_HEAD_BYTES
        ? undefined
        : parseResponseHead(this.#rest.toString("latin1", 0, end), this.#request.method);
      if (head === undefined || head.status === 101) return this.#fail("ANSWER_MALFORMED");
      this.#rest = this.#rest.subarray(end + 4);
      if (head.status >= 200) {
        this.#head = head;
        break;
      }
      if (++this.#interim > MAX_INTERIM) return this.#fail("ANSWER_MALFORMED");
    }
    const rest = this.#rest;
    this.#rest = NOTHING;
    this.#begin(this.#head);
    if (rest.length > 0 || this.#head.framing === 0) this.#body(rest);
  }

  #begin(head: ResponseHead): void {
    const { framing, status } = head;
    if (framing === "chunked") this.#chunks = new ChunkDecoder();
    else this.#left = framing === "close" ? Infinity : framing;
    if (typeof framing === "number" && framing <= (this.#request!.wholeBytes ?? -1)) {
      this.#parts = [];
      return;
    }
    this.#message = new UpstreamMessage(head, this.socket);
    this.#settle({ kind: "answer", status, message: this.#message as unknown as IncomingMessage });
  }

  #body(bytes: Buffer): void {
    let taken: number;
    let done: boolean;
    if (this.#chunks !== undefined) {
      taken = this.#chunks.push(bytes, (part) => this.#give(part));
      if (taken < 0) return this.#fail("ANSWER_MALFORMED");
      done = this.#chunks.done;
    } else {
      taken = Math.min(this.#left, bytes.length);
      this.#left -= taken;
      if (taken > 0) this.#give(taken === bytes.length ? bytes : bytes.subarray(0, taken));
      done = this.#left === 0;
    }
    // More than it said: the next answer on this connection could be a forged one.
    if (done) this.#done(taken === bytes.length);
  }

  #give(part: Uint8Array): void {
    if (this.#parts !== undefined) this.#parts.push(part);
    else if (!this.#message!.push(part)) this.socket.pause();
  }

  #done(clean: boolean): void {
    const head = this.#head!;
    const parts = this.#parts;
    const message = this.#message;
    if (parts !== undefined) {
      const body = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      this.#settle({ kind: "whole", status: head.status, rawHeaders: head.rawHeaders, body });
    }
    this.#request?.signal.removeEventListener("abort", this.#abort);
    this.#request = undefined;
    this.#head = undefined;
    this.#parts = undefined;
    this.#message = undefined;
    this.#chunks = undefined;
    this.#interim = 0;
    if (message !== undefined) {
      message.complete = true;
      message.push(null);
    }
    if (!clean || !head.keepAlive || this.socket.destroyed) return this.destroy();
    if (this.socket.isPaused()) this.socket.resume();
    this.events.free(this);
  }

  #ended(): void {
    if (this.#head?.framing === "close") this.#done(true);
    else this.destroy();
  }

  #settle(answer: UpstreamAnswer): void {
    this.#resolve?.(answer);
    this.#resolve = undefined;
  }

  #fail(code: string): void {
    this.#code = code;
    this.#settle({ kind: "failed", sent: true, code });
    this.destroy();
  }

  #closed(): void {
    if (!this.#stood) this.events.failed(this.#code);
    this.#request?.signal.removeEventListener("abort", this.#abort);
    this.#settle({
      kind: "failed",
      sent: true,
      code: this.#parts === undefined ? this.#code : "ANSWER_INCOMPLETE",
    });
    const message = this.#message;
    this.#request = undefined;
    this.#message = undefined;
    message?.destroy(Object.assign(new Error("the answer broke off"), { code: this.#code }));
    this.events.closed(this);
  }
}

/** The head of a request. @throws {TypeError} for a value that is none: the strict reading lets none through. */
function headText({ method, target, headers }: UpstreamRequest): string {
  let text = `${method} ${target} HTTP/1.1\r\n`;
  for (const name in headers) {
    const value = headers[name]!;
    for (const each of typeof value === "string" ? [value] : value) {
      if (!FIELD_VALUE.test(each)) throw new TypeError("Cannot send a field: it has a control character");
      text += `${name}: ${each}\r\n`;
    }
  }
  return `${text}\r\n`;
}
