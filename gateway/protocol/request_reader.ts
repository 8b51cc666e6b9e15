/**
 * The one reading of a connection's bytes (RFC 9112). No other parser sees them: what is read here is what is decided on and what
 * is sent on. It accepts the strict grammar only: lines that end in CR LF, one space where one belongs, fields without folding,
 * chunks without extensions. Fields behind the last chunk are read and dropped (RFC 9112, 7.1.2).
 *
 * It keeps a copy of a head that arrives in pieces, never of a body: its memory is bounded by `maxHeadBytes`.
 */

import { Buffer } from "node:buffer";

/** Bounds of the reading, in bytes. */
export interface ReaderBounds {
  /** Request line and fields together, with their line ends. */
  readonly maxHeadBytes: number;
  /** Request line. */
  readonly maxLineBytes: number;
}

/** A head whose syntax is right. `rawHeaders` alternates names and values, in order, with duplicates. */
export interface RawHead {
  /** `1.1` or `1.0`. */
  readonly httpVersion: string;
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: readonly string[];
}

/** Why bytes are not a message; each is a reason of its own in log and metrics. */
export type SyntaxFault =
  | "leading-line"
  | "request-line"
  | "http-version"
  | "target-characters"
  | "target-too-long"
  | "line-ending"
  | "header-folding"
  | "header-name"
  | "header-value"
  | "headers-too-large"
  | "chunk-size"
  | "chunk-extension"
  | "chunk-ending"
  | "trailers";

/** What a decision says about a head: how long the body is, or why the message is refused. */
export type HeadDecision<F> =
  | { readonly kind: "take"; readonly body: number | "chunked" }
  | { readonly kind: "refuse"; readonly reason: F };

/** The end of a reading. */
export interface ReadingFault<F> {
  readonly reason: F | SyntaxFault;
  /** True when the fault is in the body of a message whose head was taken. */
  readonly inBody: boolean;
  /** Of the faulty message, when it came so far. */
  readonly method?: string;
  readonly target?: string;
}

const CR = 0x0d;
const LF = 0x0a;
const TAB = 0x09;
const SPACE = 0x20;
/** Eight hexadecimal digits: 4 GiB, more than any bound of a body. */
const MAX_SIZE_DIGITS = 8;
const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^ ]+) (HTTP\/[0-9]\.[0-9])$/;
/** The same with something else, or nothing, where the version stands. */
const OTHER_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} [^ ]+(?: [^ ]+)?$/;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** All fields behind the last chunk together, bytes. */
const MAX_TRAILER_BYTES = 4_096;
const TRAILER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*$/;
/** What decides on a message has no place behind it (RFC 9110, 6.5.1): it comes only from who hopes that somebody merges it. */
const NOT_BEHIND =
  /^(?:content-.*|transfer.encoding|host|connection|te|trailer|upgrade|expect|authorization|cookie|client.cert.*|forwarded|x.forwarded.*)$/i;

type State =
  | "head"
  | "body"
  | "size"
  | "size-end"
  | "data"
  | "data-cr"
  | "data-lf"
  | "last-cr"
  | "last-lf"
  | "trailer"
  | "trailer-lf";

/** Reads one connection, one message after the other. `decide` is asked with each head. */
export class RequestReader<F extends string> {
  #state: State = "head";
  /** Earlier pieces of a head that has not ended. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #lineBytes = 0;
  #afterCr = false;
  #line: readonly [method: string, target: string, version: string] | undefined;
  #lineEnd = 0;
  /** Bytes of an empty line before the request line. */
  #lead = 0;
  /** Characters outside of ASCII came. */
  #isHigh = false;
  #trailer = "";
  #trailerBytes = 0;
  #left = 0;
  #digits = 0;
  #last = false;
  /** Request line of the message that is being read, for whoever has to tell about a fault. */
  #who: readonly [method: string, target: string, version: string] | undefined;
  #syntax: SyntaxFault | undefined;
  #fault: ReadingFault<F> | undefined;

  constructor(readonly bounds: ReaderBounds, readonly decide: (head: RawHead) => HeadDecision<F>) {}

  /** Why the reading ended: set when a method returned -1. The reader is of no use any more then. */
  get fault(): ReadingFault<F> | undefined {
    return this.#fault;
  }

  /** True when the message that was read last said that it is the last one: what follows belongs to none. */
  get isLast(): boolean {
    return this.#last;
  }

  /** True while the body of a message is to come: `readBody` is what reads on. */
  get inBody(): boolean {
    return this.#state !== "head";
  }

  /** True when every message that began has ended. */
  get isBetween(): boolean {
    return this.#state === "head" && this.#keptBytes === 0;
  }

  /** Reads on in a head. @returns where it ends in `bytes`; 0 when it goes on in the next bytes, -1 for a fault. */
  readHead(bytes: Uint8Array, from: number): number {
    if (this.#keptBytes === 0) this.#who = undefined;
    const end = this.#scanHead(bytes, from);
    // What the request line is wrong in comes first, and need not wait for the rest of the head.
    if (end <= 0 && this.#line === undefined && this.#lineEnd > 0) {
      const reason = this.#requestLine(this.#text(bytes.subarray(from)));
      if (reason !== undefined) return this.#refuse(reason, false);
    }
    if (end < 0) return this.#refuse(this.#syntax!, false);
    if (end === 0) {
      this.#keep(bytes.subarray(from));
      return 0;
    }
    const refused = this.#endHead(bytes.subarray(from, end));
    return refused === undefined ? end : this.#refuse(refused, false);
  }

  /**
   * Reads on in a body, to its end at most.
   * @param take Gets what it consists of, without its framing; views of `bytes`.
   * @returns where it stopped in `bytes`, -1 for a fault.
   */
  readBody(bytes: Uint8Array, from: number, take: (part: Uint8Array) => void): number {
    let at = from;
    while (at < bytes.length && this.#state !== "head") {
      if (this.#state === "body" || this.#state === "data") {
        const taken = Math.min(this.#left, bytes.length - at);
        this.#left -= taken;
        if (this.#left === 0) this.#state = this.#state === "data" ? "data-cr" : "head";
        take(bytes.subarray(at, at + taken));
        at += taken;
      } else {
        const reason = this.#chunkByte(bytes[at]!);
        if (reason !== undefined) return this.#refuse(reason, true);
        at++;
      }
    }
    return at;
  }

  #refuse(reason: F | SyntaxFault, inBody: boolean): -1 {
    const who = this.#who === undefined ? {} : { method: this.#who[0], target: this.#who[1] };
    this.#fault = { reason, inBody, ...who };
    return -1;
  }

  /** @returns the end of the head, 0 when it has not ended, -1 with a `#syntax`. Local variables: this loop sees every byte of every head. */
  #scanHead(chunk: Uint8Array, from: number): number {
    const limit = Math.min(chunk.length, this.bounds.maxHeadBytes - this.#keptBytes + from);
    const { maxLineBytes } = this.bounds;
    let first = this.#lineEnd === 0;
    let lineBytes = this.#lineBytes;
    let afterCr = this.#afterCr;
    for (let i = from; i < limit; i++) {
      const byte = chunk[i]!;
      if (afterCr) {
        if (byte !== LF) return this.#fail("line-ending");
        afterCr = false;
        if (lineBytes === 0) {
          if (!first) return i + 1;
          // One empty line is skipped, as old clients send it behind a body (RFC 9112, 2.2).
          if (this.#lead > 0) return this.#fail("leading-line");
          this.#lead = 2;
          continue;
        }
        if (first) this.#lineEnd = this.#keptBytes + i + 1 - from;
        first = false;
        lineBytes = 0;
      } else if (byte === CR) {
        afterCr = true;
      } else {
        lineBytes++;
        if (byte < SPACE || byte > 0x7e) {
          if (byte === LF) return this.#fail("line-ending");
          if (first) return this.#fail(byte === TAB ? "request-line" : "target-characters");
          if (byte > 0x7f) this.#isHigh = true;
          else if (byte !== TAB) return this.#fail("header-value");
        } else if (first && lineBytes > maxLineBytes) return this.#fail("target-too-long");
      }
    }
    if (limit < chunk.length) return this.#fail("headers-too-large");
    this.#lineBytes = lineBytes;
    this.#afterCr = afterCr;
    return 0;
  }

  #fail(reason: SyntaxFault): -1 {
    this.#syntax = reason;
    return -1;
  }

  #requestLine(head: string): SyntaxFault | undefined {
    const text = head.slice(this.#lead, this.#lineEnd - 2);
    const match = REQUEST_LINE.exec(text);
    if (match === null) {
      // HTTP/0.9, and other words where the version stands.
      return OTHER_LINE.test(text) ? "http-version" : "request-line";
    }
    this.#line = this.#who = [match[1]!, match[2]!, match[3]!];
    return match[3] === "HTTP/1.1" || match[3] === "HTTP/1.0" ? undefined : "http-version";
  }

  #endHead(last: Uint8Array): F | SyntaxFault | undefined {
    const text = this.#text(last);
    if (this.#line === undefined) {
      const reason = this.#requestLine(text);
      if (reason !== undefined) return reason;
    }
    const [method, target, version] = this.#line!;
    const end = text.length - 2;
    const rawHeaders: string[] = [];
    for (let at = this.#lineEnd; at < end;) {
      const lineEnd = text.indexOf("\r\n", at);
      const first = text.charCodeAt(at);
      if (first === SPACE || first === TAB) return "header-folding";
      const colon = text.indexOf(":", at);
      const name = colon < 0 || colon > lineEnd ? "" : text.slice(at, colon);
      if (!NAME.test(name)) return "header-name";
      rawHeaders.push(name, trimmed(text, colon + 1, lineEnd));
      at = lineEnd + 2;
    }
    const head = { httpVersion: version.slice(5), method, target, rawHeaders };
    const decision = this.decide(head);
    if (decision.kind === "refuse") return decision.reason;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#line = undefined;
    this.#lineEnd = 0;
    this.#lead = 0;
    this.#isHigh = false;
    this.#lineBytes = 0;
    this.#afterCr = false;
    this.#last = isLast(head);
    this.#left = decision.body === "chunked" ? 0 : decision.body;
    this.#digits = 0;
    this.#state = decision.body === "chunked" ? "size" : this.#left > 0 ? "body" : "head";
    return undefined;
  }

  #chunkByte(byte: number): SyntaxFault | undefined {
    switch (this.#state) {
      case "size": {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          if (++this.#digits > MAX_SIZE_DIGITS) return "chunk-size";
          this.#left = this.#left * 16 + digit;
          return undefined;
        }
        if (this.#digits === 0) return "chunk-size";
        if (byte === CR) return this.#go("size-end");
        return byte === 0x3b || byte === SPACE || byte === TAB
          ? "chunk-extension"
          : byte === LF
          ? "line-ending"
          : "chunk-size";
      }
      case "size-end":
        if (byte !== LF) return "line-ending";
        this.#digits = 0;
        return this.#go(this.#left === 0 ? "last-cr" : "data");
      case "data-cr":
        return byte === CR ? this.#go("data-lf") : byte === LF ? "line-ending" : "chunk-ending";
      case "data-lf":
        return byte === LF ? this.#go("size") : "line-ending";
      case "last-cr":
        if (byte === CR) return this.#go("last-lf");
        if (byte === LF) return "line-ending";
        this.#trailer = "";
        this.#trailerBytes = 0;
        this.#state = "trailer";
        return this.#trailerByte(byte);
      case "trailer":
        return this.#trailerByte(byte);
      case "trailer-lf":
        if (byte !== LF) return "line-ending";
        if (this.#trailer === "") return this.#go("head");
        if (NOT_BEHIND.test(TRAILER.exec(this.#trailer)?.[1] ?? "host")) return "trailers";
        this.#trailer = "";
        return this.#go("trailer");
      default: // last-lf
        return byte === LF ? this.#go("head") : "line-ending";
    }
  }

  #trailerByte(byte: number): SyntaxFault | undefined {
    if (byte === CR) return this.#go("trailer-lf");
    if (byte === LF) return "line-ending";
    if (++this.#trailerBytes > MAX_TRAILER_BYTES) return "trailers";
    this.#trailer += String.fromCharCode(byte);
    return undefined;
  }

  #go(state: State): undefined {
    this.#state = state;
  }

  #keep(piece: Uint8Array): void {
    // A copy: the runtime may use its buffer again.
    this.#kept.push(piece.slice());
    this.#keptBytes += piece.length;
    if (this.#kept.length < 64) return;
    // A head that comes byte by byte must not become thousands of pieces.
    this.#kept = [joined(this.#kept, this.#keptBytes)];
  }

  #text(last: Uint8Array): string {
    const bytes = this.#keptBytes === 0 ? last : joined([...this.#kept, last], this.#keptBytes + last.length);
    if (!this.#isHigh) return TEXT.decode(bytes);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  }
}

/** For ASCII alone; this decoding is the runtime's fastest. */
const TEXT = new TextDecoder();

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** A part of a text without spaces and tabs around it; by hand, because a regular expression would look at runs again and again. */
function trimmed(text: string, from: number, end: number): string {
  while (from < end && isBlank(text.charCodeAt(from))) from++;
  while (end > from && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(from, end);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Whether the connection ends with this message (RFC 9112, 9.3). */
function isLast({ httpVersion, rawHeaders }: RawHead): boolean {
  let close = false;
  let keep = false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length !== 10 || rawHeaders[i]!.toLowerCase() !== "connection") continue;
    for (const option of rawHeaders[i + 1]!.toLowerCase().split(",")) {
      if (option.trim() === "close") close = true;
      if (option.trim() === "keep-alive") keep = true;
    }
  }
  return close || httpVersion === "1.0" && !keep;
}
