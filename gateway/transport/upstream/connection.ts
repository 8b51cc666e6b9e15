/**
 * One connection to an instance: one request at a time, written and read by ourselves. The runtime's own client sends lost
 * requests again (denoland/deno#36786), waits without bound for a free connection, and costs a third of the throughput.
 */

import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { readOn, stopReading } from "../reading.ts";
import { type AnswerHead, type HeadFault, readAnswerHead } from "./answer_head.ts";
import { ChunkedReader } from "./chunked.ts";

/** Longest head of an answer with all interim heads before it, bytes. */
export const MAX_HEAD_BYTES = 32_768;
const EMPTY = Buffer.alloc(0);
const HEAD_END = "\r\n\r\n";
/** Most interim (1xx) heads before an answer. */
const MAX_INTERIM = 8;

/** What an answer brings, in this order: head, data..., then end or lost. */
export interface AnswerSink {
  head(head: AnswerHead): void;
  data(bytes: Uint8Array): void;
  /** The answer is whole. */
  end(): void;
  /** It is not, and nothing more comes. */
  lost(code: string): void;
}

/** A connection that stands. */
export class UpstreamConnection {
  #sink: AnswerSink | undefined;
  #method = "";
  #head: Buffer = EMPTY;
  #interim = 0;
  #answer: AnswerHead | undefined;
  #left = 0;
  #chunks: ChunkedReader | undefined;
  /** The request was written to its end. */
  #written = false;
  /** The answer is whole, while the request was not. */
  #over = false;
  #isPaused = false;

  /**
   * @param released Called when the connection may be used again, or (false) is gone.
   * @param sent Told of the bytes that are written.
   */
  constructor(
    readonly socket: Socket,
    readonly released: (usable: boolean) => void,
    readonly sent: (bytes: number) => void = () => {},
  ) {
    socket.setNoDelay(true);
    socket.on("end", () => this.#closed("CLOSED"));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#closed(error.code ?? "ERROR"));
    socket.on("close", () => this.#closed("CLOSED"));
  }

  /**
   * Begins a request.
   * @param first Its head, and its body where that is whole; a head alone as a text of Latin-1, which the runtime writes as it stands.
   */
  begin(method: string, first: Uint8Array | string, whole: boolean, sink: AnswerSink): void {
    this.#sink = sink;
    this.#method = method;
    this.#head = EMPTY;
    this.#interim = 0;
    this.#answer = undefined;
    this.#chunks = undefined;
    this.#over = false;
    this.#written = whole;
    this.sent(first.length);
    if (typeof first === "string") this.socket.write(first, "latin1");
    else this.socket.write(first);
  }

  /** Writes on; false when the other side does not keep up: wait for `drained`. */
  write(bytes: Uint8Array): boolean {
    this.sent(bytes.length);
    return this.socket.write(bytes);
  }

  /** Calls back when more may be written, or nothing ever will. */
  drained(then: () => void): void {
    this.socket.once("drain", then);
    this.socket.once("close", then);
  }

  /** The request was written to its end. */
  written(): void {
    this.#written = true;
  }

  /** Stops and starts reading: what is not read is not sent by the other side for long. */
  pause(): void {
    this.#isPaused = true;
    stopReading(this.socket);
  }
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    readOn(this.socket);
  }

  /** Ends the connection in the middle of whatever it does. */
  cut(code: string): void {
    this.#closed(code);
  }

  #closed(code: string): void {
    const sink = this.#sink;
    const whole = this.#answer?.framing.kind === "until-close" && code === "CLOSED";
    this.#sink = undefined;
    this.#over = true;
    this.socket.destroy();
    this.released(false);
    if (whole) sink?.end();
    else sink?.lost(code);
  }

  /** Bytes came. They are the caller's again when this returns: what is passed on is a copy. */
  take(bytes: Buffer): void {
    if (this.#sink === undefined) {
      // Nobody asked: whatever this is, it must not be taken for the answer to the next request.
      if (!this.#over) this.#closed("ANSWER_UNASKED");
      return;
    }
    if (this.#answer !== undefined) return this.#body(bytes);
    this.#head = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes]);
    while (true) {
      const text = this.#head.toString("latin1", 0, MAX_HEAD_BYTES + HEAD_END.length);
      const end = text.indexOf(HEAD_END);
      if (end < 0 && this.#head.length > MAX_HEAD_BYTES) return this.#closed("ANSWER_HEAD_LARGE");
      if (end < 0) {
        this.#head = Buffer.from(this.#head);
        return;
      }
      const head: AnswerHead | HeadFault = readAnswerHead(text.slice(0, end), this.#method);
      if (typeof head === "string") return this.#closed(head);
      const rest = this.#head.subarray(end + 4);
      if (head.status < 200) {
        if (head.status === 101 || ++this.#interim > MAX_INTERIM) return this.#closed("ANSWER_INTERIM");
        this.#head = rest;
        continue;
      }
      this.#head = EMPTY;
      this.#answer = head;
      const { framing } = head;
      this.#left = framing.kind === "length" ? framing.length : 0;
      if (framing.kind === "chunked") this.#chunks = new ChunkedReader();
      this.#sink.head(head);
      const empty = framing.kind === "none" || framing.kind === "length" && framing.length === 0;
      if (empty) return this.#end(rest.length);
      if (rest.length > 0) this.#body(rest);
      return;
    }
  }

  #body(bytes: Uint8Array): void {
    if (this.#chunks !== undefined) {
      for (const piece of this.#chunks.read(bytes)) {
        if (piece.kind === "data") this.#sink?.data(copyOf(piece.bytes));
        else if (piece.kind === "end") return this.#end(piece.rest);
        else return this.#closed("ANSWER_CHUNKS");
        if (this.#sink === undefined) return;
      }
      return;
    }
    if (this.#answer!.framing.kind === "until-close") return this.#sink!.data(copyOf(bytes));
    const own = Math.min(this.#left, bytes.length);
    this.#left -= own;
    this.#sink!.data(copyOf(bytes, own));
    if (this.#left === 0) this.#end(bytes.length - own);
  }

  #end(surplus: number): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    this.#sink = undefined;
    const usable = this.#answer!.keepAlive && this.#written && surplus === 0 && !this.socket.destroyed;
    if (usable) {
      // Whoever passed the answer on may have left it paused; an idle connection has to notice its end.
      this.resume();
      this.released(true);
    } else {
      this.#over = true;
      this.socket.destroy();
      this.released(false);
    }
    sink.end();
  }
}

/** The beginning of bytes, in memory of its own. */
function copyOf(bytes: Uint8Array, length = bytes.length): Uint8Array {
  const copy = Buffer.allocUnsafe(length);
  copy.set(length === bytes.length ? bytes : bytes.subarray(0, length));
  return copy;
}
