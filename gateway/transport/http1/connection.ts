/**
 * One client's connection: reads requests one after the other, and the next only when the one before is answered. What it holds of
 * a client is bounded: a head of `maxHeaderSize`, a body that waits for its reader, and what the kernel buffers.
 */

import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import { ChunkDecoder, hasBareLineFeed, headEnd, parseRequestHead } from "./message.ts";
import { Http1Incoming } from "./incoming.ts";
import { Http1Outgoing } from "./outgoing.ts";

/** Bounds of a connection; times in milliseconds. */
export interface Http1Bounds {
  readonly maxHeaderSize: number;
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  /** 0: no bound. */
  maxRequestsPerSocket: number;
}

/** Whom a connection tells. */
export interface Http1Events {
  request(
    kind: "request" | "checkContinue" | "checkExpectation" | "connect",
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): void;
  /** A message that cannot be read, or that took too long; `code` as in node's parser. */
  fault(code: "HPE_HEADER_OVERFLOW" | "HPE_INVALID" | "ERR_HTTP_REQUEST_TIMEOUT", socket: TLSSocket): void;
}

const NOTHING = Buffer.alloc(0);
/** Bytes of requests that arrive before the one in front is answered; then the client has to wait. */
const MAX_AHEAD_BYTES = 65_536;

/** After the last answer a connection stays this long for the client to read it. */
const LINGER_MS = 2_000;

/** A connection. */
export class Http1Connection {
  #rest: Buffer = NOTHING;
  #incoming: Http1Incoming | undefined;
  #outgoing: Http1Outgoing | undefined;
  /** Bytes of the current body that are to come, or its decoder; undefined: no body is being read. */
  #body: { left: number } | ChunkDecoder | undefined;
  #requests = 0;
  #broken = false;
  #brokenAt = 0;
  /** What is being waited for, and since when. */
  #waiting: "head" | "body" | "next" | "answer" = "head";
  #since = performance.now();
  /** When the first byte of the current request came. */
  #began = this.#since;
  readonly #keepAliveField: string;

  constructor(readonly socket: TLSSocket, readonly bounds: Http1Bounds, readonly events: Http1Events) {
    this.#keepAliveField = `connection: keep-alive\r\nkeep-alive: timeout=${
      Math.max(1, Math.floor(bounds.keepAliveTimeout / 1000))
    }\r\n`;
    socket.on("data", (bytes: Buffer) => this.#data(bytes));
    socket.on("end", () => this.#ended());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#closed());
  }

  /** No request is being answered or has begun to arrive. */
  get idle(): boolean {
    return this.#outgoing === undefined && this.#rest.length === 0;
  }

  /** Looks whether a phase takes too long. */
  sweep(now: number): void {
    if (this.#broken) {
      // Its last answer was written; a client that does not close is not waited for.
      this.#brokenAt ||= now;
      if (now - this.#brokenAt > LINGER_MS) this.socket.destroy();
      return;
    }
    const { headersTimeout, requestTimeout, keepAliveTimeout } = this.bounds;
    const late = (this.#waiting === "head" && now - this.#since > headersTimeout) ||
      (this.#waiting === "body" && now - this.#began > requestTimeout);
    if (late) return this.#fault("ERR_HTTP_REQUEST_TIMEOUT");
    // The whole answer is in its buffers, and the client does not take it.
    const endedAt = this.#outgoing?.endedAt ?? 0;
    if (endedAt > 0 && now - endedAt > requestTimeout) return void this.socket.destroy();
    if (this.#waiting === "next" && now - this.#since > keepAliveTimeout) this.socket.destroy();
  }

  #wait(what: "head" | "body" | "next" | "answer"): void {
    this.#waiting = what;
    this.#since = performance.now();
  }

  #data(bytes: Buffer): void {
    if (this.#broken) return;
    if (this.#body !== undefined) {
      bytes = this.#readBody(bytes);
      if (bytes.length === 0) return;
    }
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (this.#outgoing === undefined) this.#next();
    if (this.#outgoing === undefined || this.#body !== undefined) return;
    if (this.#rest.length > MAX_AHEAD_BYTES) this.socket.pause();
  }

  /** Reads the next head from what is there. */
  #next(): void {
    if (this.#rest.length === 0 || this.#broken) return;
    if (this.#waiting === "next") {
      this.#wait("head");
      this.#began = this.#since;
    }
    const end = headEnd(this.#rest, 0);
    if (end > this.bounds.maxHeaderSize || end < 0 && this.#rest.length > this.bounds.maxHeaderSize) {
      return this.#fault("HPE_HEADER_OVERFLOW");
    }
    if (end < 0) return hasBareLineFeed(this.#rest) ? this.#fault("HPE_INVALID") : undefined;
    const head = parseRequestHead(this.#rest.toString("latin1", 0, end));
    if (head === undefined) return this.#fault("HPE_INVALID");
    this.#rest = this.#rest.subarray(end + 4);
    const last = ++this.#requests === this.bounds.maxRequestsPerSocket;
    const incoming = new Http1Incoming(this.socket, head);
    const outgoing = new Http1Outgoing({
      socket: this.socket,
      head: head.method === "HEAD",
      version: head.version,
      keepAlive: head.keepAlive && !last,
      keepAliveField: this.#keepAliveField,
      finished: (close) => this.#answered(close),
    });
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    if (head.framing === 0) {
      incoming.complete = true;
      this.#waiting = "answer";
    } else {
      this.#body = head.framing === "chunked" ? new ChunkDecoder() : { left: Number(head.framing) };
      this.#waiting = "body";
    }
    const kind = head.method === "CONNECT"
      ? "connect"
      : head.expect === undefined
      ? "request"
      : head.expect === "100-continue"
      ? "checkContinue"
      : "checkExpectation";
    this.events.request(
      kind,
      incoming as unknown as IncomingMessage,
      outgoing as unknown as ServerResponse,
    );
    if (this.#body !== undefined && this.#rest.length > 0) {
      const bytes = this.#rest;
      this.#rest = NOTHING;
      this.#rest = this.#readBody(bytes);
    }
  }

  /** @returns what follows the body. */
  #readBody(bytes: Buffer): Buffer {
    const body = this.#body!;
    const incoming = this.#incoming!;
    let full = false;
    let taken: number;
    let done: boolean;
    if (body instanceof ChunkDecoder) {
      taken = body.push(bytes, (part) => full = !incoming.push(part) || full);
      if (taken < 0) {
        this.#fault("HPE_INVALID");
        return NOTHING;
      }
      done = body.done;
    } else {
      taken = Math.min(body.left, bytes.length);
      body.left -= taken;
      if (taken > 0) full = !incoming.push(bytes.subarray(0, taken));
      done = body.left === 0;
    }
    if (done) {
      this.#body = undefined;
      incoming.complete = true;
      this.#waiting = "answer";
      incoming.push(null);
    } else if (full) this.socket.pause();
    return bytes.subarray(taken);
  }

  #answered(close: boolean): void {
    // Of a message that was answered before it was whole, the rest cannot be told from the next one.
    if (close || !this.#incoming!.complete) {
      this.#broken = true;
      this.socket.end();
      return;
    }
    this.#incoming = undefined;
    this.#outgoing = undefined;
    this.#wait("next");
    if (this.socket.isPaused()) this.socket.resume();
    if (this.#rest.length > 0) this.#next();
  }

  #fault(code: Parameters<Http1Events["fault"]>[0]): void {
    this.#broken = true;
    this.events.fault(code, this.socket);
    this.#outgoing?.abandon();
    this.#incoming?.breakOff();
  }

  #ended(): void {
    // A client that says no more after a whole request waits for its answer.
    if (this.#waiting === "answer" && this.#rest.length === 0) return;
    if (this.#broken) return;
    if (this.idle) return void this.socket.end();
    this.#fault("HPE_INVALID");
  }

  #closed(): void {
    this.#broken = true;
    this.#incoming?.breakOff();
    this.#outgoing?.over();
  }
}
