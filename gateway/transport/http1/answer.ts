/** An answer on its way to the client: what the runtime calls ServerResponse, as far as a gateway needs it, in one write where it can. */

import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import type { TLSSocket } from "node:tls";
import { type Listeners, listenersWith, listenersWithout, tell } from "../listeners.ts";
import { headAndBody } from "./latin1.ts";

/** Header fields: name, value, name, value; names in lower case. */
export type AnswerFields = readonly string[];

/** What an answer has to know of its request and its connection. */
export interface AnswerContext {
  readonly socket: TLSSocket;
  /** The request was HEAD: the answer has no body. */
  readonly head: boolean;
  /** The request was of HTTP/1.0, which knows no chunks. */
  readonly old: boolean;
  /** Whether the connection may stay open after this answer. */
  readonly keepAlive: boolean;
  /** The fields that say so, with their line ends. */
  readonly keepAliveFields: string;
  /** The answer was written; `close`: the connection ends with it. */
  readonly finished: (close: boolean) => void;
}

const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
let dateSecond = 0;
let dateField = "";

/** The Date field, which changes once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateField = `date: ${new Date(second * 1000).toUTCString()}\r\n`;
  }
  return dateField;
}

/** One answer. Events: `drain` when more may be written; `close` once, when it was written or never will be. */
export class Http1Answer {
  headersSent = false;
  /** Every byte was handed to the kernel. */
  writableFinished = false;
  destroyed = false;
  closed = false;
  /** Bytes of the head, without its last line end; 0 before. */
  headBytes = 0;
  #head = "";
  #framing: "length" | "chunked" | "until-close" | "none" = "none";
  #close = false;
  #ending = false;
  #draining = false;
  /** Writes that the kernel has not taken. */
  #unwritten = 0;
  /** The end has a write of its own. */
  #last = false;
  #onClose: Listeners;
  #onDrain: Listeners;

  constructor(readonly context: AnswerContext) {}

  on(event: "close" | "drain", listener: () => void): void {
    if (event === "close") this.#onClose = listenersWith(this.#onClose, listener);
    else this.#onDrain = listenersWith(this.#onDrain, listener);
  }

  off(event: "close" | "drain", listener: () => void): void {
    if (event === "close") this.#onClose = listenersWithout(this.#onClose, listener);
    else this.#onDrain = listenersWithout(this.#onDrain, listener);
  }

  get socket(): TLSSocket {
    return this.context.socket;
  }

  /** Tells the client to go on with its body. */
  writeContinue(): void {
    if (!this.destroyed) this.socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
  }

  /** Makes the head; it goes out with the first bytes of the body. @throws {TypeError} for what is no field. */
  writeHead(status: number, fields: AnswerFields = []): this {
    if (this.headersSent) throw new TypeError("Cannot write a head twice");
    const { keepAlive, keepAliveFields, head, old } = this.context;
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n`;
    let [length, close, dated] = [false, !keepAlive, false];
    for (let i = 0; i < fields.length; i += 2) {
      const [name, value] = [fields[i]!, fields[i + 1]!];
      switch (name) {
        case "connection":
          close ||= value.toLowerCase() === "close";
          continue;
        case "transfer-encoding":
        case "keep-alive":
          continue; // Ours to say.
        case "content-length":
          length = true;
          break;
        case "date":
          dated = true;
      }
      text += fieldLine(name, value);
    }
    if (!dated) text += httpDate();
    if (head || status === 204 || status === 304) this.#framing = "none";
    else if (length) this.#framing = "length";
    else if (!old) this.#framing = "chunked";
    else {
      this.#framing = "until-close";
      close = true;
    }
    this.#close = close;
    this.#head = text + (close ? "connection: close\r\n" : keepAliveFields);
    this.headBytes = this.#head.length;
    this.headersSent = true;
    return this;
  }

  /** Writes a part of the body. False: wait for `drain`. */
  write(part: Uint8Array): boolean {
    if (this.destroyed || this.#ending) return false;
    const head = this.#takeHead();
    if (this.#framing === "none") return head === "" || this.#send(headAndBody(head));
    if (this.#framing !== "chunked") return this.#send(head === "" ? part : headAndBody(head, part));
    const sized = headAndBody(`${head}${part.length.toString(16)}\r\n`, part);
    return this.#send(Buffer.concat([sized, LINE_END]));
  }

  /** Writes what is left; `body` is the last part, or all of it. */
  end(body?: Uint8Array): void {
    if (this.destroyed || this.#ending) return;
    if (!this.headersSent) throw new TypeError("Cannot end an answer without a head");
    this.#ending = true;
    // The length is known: chunks would say no more.
    if (this.#framing === "chunked" && this.#head !== "") {
      this.#head += `content-length: ${body?.length ?? 0}\r\n`;
      this.#framing = "length";
    }
    const head = this.#takeHead();
    const content = this.#framing === "none" || body?.length === 0 ? undefined : body;
    const written = () => this.#written();
    this.#last = this.#framing === "chunked" || head !== "" || content !== undefined;
    if (!this.#last) return void (this.#unwritten === 0 && queueMicrotask(written));
    if (this.#framing !== "chunked") return void this.socket.write(headAndBody(head, content), written);
    const last = content === undefined
      ? LAST_CHUNK
      : headAndBody(`${content.length.toString(16)}\r\n`, Buffer.concat([content, LINE_END, LAST_CHUNK]));
    this.socket.write(last, written);
  }

  /** Ends the connection, unless the answer is whole. */
  destroy(): void {
    if (this.writableFinished || this.destroyed) return;
    this.socket.destroy();
    this.over();
  }

  /** Nothing more becomes of this answer: the connection is lost, or somebody else answers on it. */
  over(): void {
    if (this.closed) return;
    this.destroyed = true;
    this.closed = true;
    tell(this.#onClose);
  }

  #takeHead(): string {
    if (this.#head === "") return "";
    const head = `${this.#head}${this.#framing === "chunked" ? "transfer-encoding: chunked\r\n" : ""}\r\n`;
    this.#head = "";
    return head;
  }

  #send(bytes: Uint8Array): boolean {
    this.#unwritten++;
    const taken = this.socket.write(bytes, () => {
      if (--this.#unwritten === 0 && this.#ending && !this.#last) this.#written();
    });
    if (taken) return true;
    if (!this.#draining) {
      this.#draining = true;
      this.socket.once("drain", () => {
        this.#draining = false;
        if (!this.closed) tell(this.#onDrain);
      });
    }
    return false;
  }

  #written(): void {
    if (this.closed || this.socket.destroyed) return;
    this.writableFinished = true;
    this.closed = true;
    tell(this.#onClose);
    this.context.finished(this.#close);
  }
}

const LINE_END = Buffer.from("\r\n");

function fieldLine(name: string, value: string): string {
  if (!FIELD_VALUE.test(value)) throw new TypeError("Cannot write a field: it has a control character");
  return `${name}: ${value}\r\n`;
}
