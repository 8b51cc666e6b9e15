/**
 * One client's connection: messages are read one after the other, and the next only when the one before is answered. What it holds of
 * a client is bounded: a head, a part of a body that waits for its reader, and little of what comes ahead of its turn.
 */

import { Buffer } from "node:buffer";
import type { TLSSocket } from "node:tls";
import { Http1Answer } from "./answer.ts";
import { Content } from "./content.ts";
import { readOn, stopReading } from "../reading.ts";
import { Roster } from "../roster.ts";
import { Http1Request } from "./request.ts";

/** Why bytes were refused. */
export interface ByteFault {
  readonly reason: string;
  /** In the body of a message that is being answered. */
  readonly inBody: boolean;
  readonly method?: string;
  readonly target?: string;
}

/** A message whose head was read. `H` is what the reader makes of it. */
export interface ReadMessage<H> {
  readonly head: H;
  readonly method: string;
  /** HTTP/1.0. */
  readonly old: boolean;
  /** The client waits for 100 (Continue) before it sends the body. */
  readonly wantsContinue: boolean;
}

/** Reads the bytes of one connection; the only parser there is. */
export interface MessageReader<H> {
  /** Reads on in a head: where it ends in `bytes`, 0 when it has not ended, -1 for a fault. */
  readHead(bytes: Uint8Array, from: number): number;
  /** Reads on in a body, to its end at most: where it stopped in `bytes`, -1 for a fault. */
  readBody(bytes: Uint8Array, from: number, take: (part: Uint8Array) => void): number;
  /** The message whose head was read last. */
  readonly message: ReadMessage<H> | undefined;
  /** A body is to come. */
  readonly inBody: boolean;
  /** Every message that began has ended. */
  readonly isBetween: boolean;
  /** The message that was read last is the connection's last. */
  readonly isLast: boolean;
  /** After -1. */
  readonly fault: ByteFault | undefined;
}

/** Bounds of a connection; times in milliseconds. */
export interface ConnectionTimes {
  /** For a head: from the beginning of the connection, then from its first byte. */
  readonly headersTimeoutMs: number;
  /** For a whole message, from its first byte. */
  readonly requestTimeoutMs: number;
  /** Between messages, as clients are told. */
  readonly keepAliveTimeoutMs: number;
  /** For the client to take an answer, from its head on. */
  readonly answerTimeoutMs: number;
  readonly maxRequestsPerConnection: number;
}

/** Whom a connection tells. */
export interface ConnectionEvents<H> {
  /** A request was read, as far as its body. */
  request(incoming: Http1Request, outgoing: Http1Answer, message: ReadMessage<H>): void;
  /** A message that is none, or that took too long. Answer on the socket and end it. */
  refused(cause: "timeout" | "malformed" | ByteFault): void;
}

/** Bytes of requests that arrive before the one in front is answered; then the client has to wait. */
const MAX_AHEAD_BYTES = 65_536;
/** What a piece takes beside its bytes: many small ones are no way around the bound. */
const PIECE_BYTES = 256;
/** After the last answer a client has this long to read it and to close, milliseconds. */
const LINGER_MS = 2_000;
/** Beyond the time that the client was told: a request that it sends in the last moment is still answered. Milliseconds. */
const KEEP_ALIVE_GRACE_MS = 1_000;

/** A connection. */
export class Http1Connection<H> {
  /** Bytes that wait for their turn. */
  #ahead: Buffer[] = [];
  #aheadBytes = 0;
  #incoming: Http1Request | undefined;
  #outgoing: Http1Answer | undefined;
  #requests = 0;
  /** Nothing more is read; when that came about, monotonic milliseconds. */
  #brokenAt: number | undefined;
  #waiting: "head" | "body" | "next" | "answer" = "head";
  /**
   * When it began to wait for that, and when the first byte of the current message came; undefined: for whoever looks next to say, which
   * is at once for what may be short. Most requests are over before anybody looks, and never ask for the time.
   */
  #since: number | undefined = performance.now();
  #began = this.#since;
  /** The same for an answer that has a head and has not ended. */
  #answeringSince: number | undefined;
  readonly #keepAliveFields: string;
  /** Of every message: made once. */
  readonly #whenWanted = () => this.#wanted();
  readonly #whenAnswered = (close: boolean) => this.#answered(close);

  constructor(
    readonly socket: TLSSocket,
    readonly reader: MessageReader<H>,
    readonly times: ConnectionTimes,
    readonly events: ConnectionEvents<H>,
  ) {
    const seconds = Math.max(1, Math.floor(times.keepAliveTimeoutMs / 1000));
    this.#keepAliveFields = `connection: keep-alive\r\nkeep-alive: timeout=${seconds}\r\n`;
    socket.on("data", (bytes: Buffer) => this.#data(bytes));
    socket.on("end", () => this.#ended());
    socket.on("close", () => this.#closed());
  }

  /** No request is being answered or has begun to arrive. */
  get idle(): boolean {
    return this.#outgoing === undefined && this.#aheadBytes === 0 && this.reader.isBetween;
  }

  /** Looks whether a phase takes too long. */
  sweep(now: number): void {
    if (this.#brokenAt !== undefined) {
      if (now - this.#brokenAt > LINGER_MS && !this.#isAnswering) this.socket.destroy();
      return;
    }
    const { headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, answerTimeoutMs } = this.times;
    if (this.#outgoing?.headersSent) {
      this.#answeringSince ??= now;
      if (now - this.#answeringSince > answerTimeoutMs) return void this.socket.destroy();
    }
    const since = this.#since ??= now;
    const late = this.#waiting === "head" && now - since > headersTimeoutMs ||
      this.#waiting === "body" && now - (this.#began ?? since) > requestTimeoutMs;
    if (late) return this.#refuse("timeout");
    if (this.#waiting === "next" && now - since > keepAliveTimeoutMs + KEEP_ALIVE_GRACE_MS) {
      this.socket.destroy();
    }
  }

  get #isAnswering(): boolean {
    return this.#outgoing !== undefined && !this.#outgoing.closed;
  }

  #data(bytes: Buffer): void {
    if (this.#brokenAt !== undefined) return;
    if (this.#outgoing !== undefined && !this.reader.inBody) return this.#keep(bytes);
    this.#read(bytes);
  }

  #keep(bytes: Buffer): void {
    this.#ahead.push(bytes);
    this.#aheadBytes += bytes.length + PIECE_BYTES;
    if (this.#aheadBytes > MAX_AHEAD_BYTES) stopReading(this.socket);
  }

  #read(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.#brokenAt === undefined;) {
      if (this.reader.inBody) at = this.#readBody(bytes, at);
      else if (this.#outgoing === undefined) at = this.#readHead(bytes, at);
      else return this.#keep(at === 0 ? bytes : bytes.subarray(at));
    }
  }

  /** @returns where to read on. */
  #readHead(bytes: Buffer, from: number): number {
    const isFirst = this.#waiting === "next";
    this.#waiting = "head";
    const end = this.reader.readHead(bytes, from);
    if (isFirst && (end === 0 || this.reader.inBody)) this.#since = this.#began = performance.now();
    if (end < 0) this.#refuse(this.reader.fault!);
    if (end <= 0) return bytes.length;
    const message = this.reader.message!;
    const last = ++this.#requests === this.times.maxRequestsPerConnection || this.reader.isLast;
    const { socket } = this;
    const incoming = this.#incoming = new Http1Request(socket, message.method, this.#whenWanted);
    const outgoing = this.#outgoing = new Http1Answer({
      socket,
      head: message.method === "HEAD",
      old: message.old,
      keepAlive: !last,
      keepAliveFields: this.#keepAliveFields,
      finished: this.#whenAnswered,
    });
    incoming.complete = !this.reader.inBody;
    this.#waiting = incoming.complete ? "answer" : "body";
    this.events.request(incoming, outgoing, message);
    return end;
  }

  #readBody(bytes: Buffer, from: number): number {
    const incoming = this.#incoming!;
    const content = new Content(bytes.length - from);
    const end = this.reader.readBody(bytes, from, (part) => content.add(part));
    const wanted = content.length === 0 || incoming.push(content.bytes);
    if (end < 0) {
      this.#refuse(this.reader.fault!);
      return bytes.length;
    }
    if (!this.reader.inBody) {
      this.#waiting = "answer";
      incoming.finish();
    } else if (!wanted) stopReading(this.socket);
    return end;
  }

  #wanted(): void {
    if (this.socket.isPaused()) readOn(this.socket);
  }

  #answered(close: boolean): void {
    // Of a message that was answered before it was whole, the rest cannot be told from the next one.
    if (close || !this.#incoming!.complete) {
      this.#break();
      this.socket.end();
      return;
    }
    this.#incoming = undefined;
    this.#outgoing = undefined;
    this.#waiting = "next";
    this.#since = this.#answeringSince = undefined;
    if (this.#aheadBytes === 0) return;
    const bytes = this.#ahead.length === 1 ? this.#ahead[0]! : Buffer.concat(this.#ahead);
    this.#ahead = [];
    this.#aheadBytes = 0;
    this.#read(bytes);
    if (this.#aheadBytes <= MAX_AHEAD_BYTES) this.#wanted();
  }

  /** What still comes is read and thrown away: closing with bytes unread would make the kernel send a reset, which can overtake the answer. */
  #break(): void {
    this.#brokenAt = performance.now();
    this.#ahead = [];
    this.#aheadBytes = 0;
    this.#incoming?.breakOff();
    this.#wanted();
  }

  #refuse(cause: "timeout" | "malformed" | ByteFault): void {
    const outgoing = this.#outgoing;
    this.#break();
    // In the middle of another answer a second one would be read as its content.
    if (outgoing?.headersSent && !outgoing.writableFinished) return void this.socket.destroy();
    outgoing?.over();
    this.events.refused(cause);
  }

  #ended(): void {
    if (this.#brokenAt !== undefined) return void this.socket.end();
    if (this.idle) return void this.socket.end();
    // Who hangs up while a request is being answered is gone: nothing more is done for it.
    if (this.#outgoing !== undefined && this.#incoming!.complete) return void this.socket.destroy();
    this.#refuse("malformed");
  }

  #closed(): void {
    this.#brokenAt ??= performance.now();
    this.#ahead = [];
    this.#incoming?.breakOff();
    this.#outgoing?.over();
  }
}

/** The open connections of a listener, and the clock of their phases. */
export class Http1Connections {
  readonly #open = new Roster<Pick<Http1Connection<unknown>, "sweep" | "idle" | "socket">>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(readonly sweepMs: number) {}

  /** Looks after a connection while it is open. */
  add<H>(connection: Http1Connection<H>): void {
    const seat = this.#open.add(connection);
    this.#timer ??= setInterval(() => this.#look(), this.sweepMs);
    connection.socket.once("close", () => {
      this.#open.leave(seat);
      if (this.#open.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
  }

  /** Closes connections on which no request is being answered or has begun to arrive. */
  closeIdle(): void {
    for (const connection of this.#open.members()) if (connection.idle) connection.socket.destroy();
  }

  #look(): void {
    const now = performance.now();
    for (const connection of this.#open.members()) connection.sweep(now);
  }
}
