/** An answer on its way to the client: what `node:http` calls ServerResponse, as far as the gateway uses it, in one write. */

import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import { Writable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { headAndBody } from "./latin1.ts";
import { FIELD_VALUE } from "./message.ts";

/** Header fields by name. */
export type OutgoingFields = Readonly<Record<string, string | number | readonly string[]>>;

/** What an answer has to know of its request and its connection. */
export interface OutgoingContext {
  readonly socket: TLSSocket;
  /** The request was HEAD: the answer has no body. */
  readonly head: boolean;
  /** `1.0` or `1.1`. */
  readonly version: string;
  /** Whether the connection may stay open after this answer. */
  readonly keepAlive: boolean;
  /** Value of Keep-Alive. */
  readonly keepAliveField: string;
  /** The answer was written; `close`: the connection ends with it. */
  readonly finished: (close: boolean) => void;
}

const NO_BODY = new Set([204, 304]);
let dateSecond = 0;
let dateText = "";

/** The Date field, which changes once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

/** One answer. */
export class Http1Outgoing extends Writable {
  statusCode = 200;
  headersSent = false;
  /** Bytes that were given to the connection, heads included, before encryption. */
  bytesWritten = 0;
  /** When the last byte was given to the connection, monotonic milliseconds; 0 before. */
  endedAt = 0;
  readonly #context: OutgoingContext;
  #fields: Record<string, string | number | readonly string[]> = {};
  #head = "";
  #framing: "length" | "chunked" | "close" | "none" = "none";
  #close = false;
  #written = false;
  #ending = false;

  constructor(context: OutgoingContext) {
    super({ emitClose: false, decodeStrings: true });
    this.#context = context;
  }

  get socket(): TLSSocket {
    return this.#context.socket;
  }
  static {
    // True when the whole answer was handed to the connection. Declared as a property, it is an accessor of streams.
    Object.defineProperty(this.prototype, "writableFinished", {
      get(this: Http1Outgoing): boolean {
        return this.#written;
      },
    });
  }

  /** Sets a field of the head that is still to be written. */
  setHeader(name: string, value: string | number | readonly string[]): this {
    this.#fields[name.toLowerCase()] = value;
    return this;
  }

  /** Makes the head; it is written with the first bytes of the body. @throws {TypeError} for what is no field. */
  writeHead(status: number, fields: OutgoingFields = {}): this {
    if (this.headersSent) throw new TypeError("Cannot write a head twice");
    this.statusCode = status;
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n`;
    let [length, chunked, close, dated] = [false, false, !this.#context.keepAlive, false];
    const add = (name: string, value: string | number | readonly string[]) => {
      if (typeof value === "object") {
        for (const each of value) add(name, each);
        return;
      }
      const plain = String(value);
      if (!FIELD_VALUE.test(plain)) throw new TypeError("Cannot write a field: it has a control character");
      const lower = name.toLowerCase();
      if (lower === "content-length") length = true;
      else if (lower === "transfer-encoding") return void (chunked = true);
      else if (lower === "date") dated = true;
      else if (lower === "keep-alive") return;
      else if (lower === "connection") {
        if (/close/i.test(plain)) close = true;
        return;
      }
      text += `${name}: ${plain}\r\n`;
    };
    for (const name in this.#fields) add(name, this.#fields[name]!);
    for (const name in fields) add(name, fields[name]!);
    if (!dated) text += `date: ${httpDate()}\r\n`;
    const bodiless = this.#context.head || NO_BODY.has(status);
    if (bodiless) this.#framing = "none";
    else if (length && !chunked) this.#framing = "length";
    else if (this.#context.version === "1.1") this.#framing = "chunked";
    else {
      this.#framing = "close";
      close = true;
    }
    this.#close = close;
    text += close ? "connection: close\r\n" : this.#context.keepAliveField;
    this.#head = text;
    this.headersSent = true;
    return this;
  }

  /** Tells the client to go on with its body. */
  writeContinue(): void {
    this.#context.socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
  }

  /** Writes the head without waiting for a body. */
  flushHeaders(): void {
    if (!this.headersSent) this.writeHead(this.statusCode);
    const head = this.#takeHead();
    if (head !== "") this.#context.socket.write(head, "latin1");
  }

  #takeHead(): string {
    if (this.#head === "") return "";
    const chunked = this.#framing === "chunked" ? "transfer-encoding: chunked\r\n" : "";
    const head = `${this.#head}${chunked}\r\n`;
    this.#head = "";
    return head;
  }

  // deno-lint-ignore no-explicit-any -- the overloads of node's streams
  override end(chunk?: any, encoding?: any, callback?: any): this {
    const done = [chunk, encoding, callback].find((each) => typeof each === "function") as
      | (() => void)
      | undefined;
    const body = typeof chunk === "string"
      ? Buffer.from(chunk)
      : chunk instanceof Uint8Array
      ? chunk
      : undefined;
    // What is written in pieces goes the way of streams.
    if (this.headersSent && this.#head === "" || this.writableLength > 0) {
      super.end(body, done);
      return this;
    }
    if (this.#ending || this.destroyed) return this;
    this.#ending = true;
    this.endedAt = performance.now();
    if (!this.headersSent) this.writeHead(this.statusCode, { "content-length": body?.length ?? 0 });
    // The length is known: chunks would say no more.
    if (this.#framing === "chunked") {
      this.#head += `content-length: ${body?.length ?? 0}\r\n`;
      this.#framing = "length";
    }
    const head = this.#takeHead();
    const content = this.#framing === "none" ? undefined : body;
    const bytes = headAndBody(head, content);
    this.bytesWritten += bytes.length;
    this.#context.socket.write(bytes, () => this.#finish(done));
    return this;
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    const { socket } = this.#context;
    if (!this.headersSent) this.writeHead(this.statusCode);
    const head = this.#takeHead();
    if (this.#framing === "none") return callback();
    const size = this.#framing === "chunked" ? `${chunk.length.toString(16)}\r\n` : "";
    const before = head + size;
    const after = this.#framing === "chunked" ? 2 : 0;
    const bytes = Buffer.allocUnsafe(before.length + chunk.length + after);
    bytes.write(before, 0, "latin1");
    bytes.set(chunk, before.length);
    if (after > 0) bytes.write("\r\n", before.length + chunk.length, "latin1");
    this.bytesWritten += bytes.length;
    socket.write(bytes, (error) => callback(error ?? null));
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.headersSent) this.writeHead(this.statusCode);
    const rest = this.#takeHead() + (this.#framing === "chunked" ? "0\r\n\r\n" : "");
    if (rest === "") {
      callback();
      return this.#finish();
    }
    this.#context.socket.write(rest, "latin1", (error) => {
      callback(error ?? null);
      this.#finish();
    });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    callback(error);
    if (!this.#written && !this.#abandoned) this.#context.socket.destroy();
  }

  #finish(done?: () => void): void {
    if (this.#written) return;
    if (this.#context.socket.destroyed) return void done?.();
    this.#written = true;
    if (this.#ending) this.emit("finish");
    done?.();
    this.#context.finished(this.#close);
    this.over();
  }

  #over = false;
  #abandoned = false;

  /** Somebody else answers on the connection: nothing of this answer may be written any more. */
  abandon(): void {
    this.#abandoned = true;
    this.over();
  }

  /** Tells once that nothing more becomes of this answer: it was written, or the connection is lost. */
  over(): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.#written) this.destroy();
    this.emit("close");
  }
}
