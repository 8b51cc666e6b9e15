/**
 * HTTP/1.1 messages, bytes to values (RFC 9112): heads of requests and of answers, and the chunked coding. Strict: lines end with
 * CR LF, no folding, no bare CR or LF, no space around names, no chunk extensions or trailers. A caller reads one message at a time.
 */

/** Header names and values by turns, as they came. */
export type RawHeaders = string[];

/** Head of a request. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** Such as `1.1`; `0.9` when the line has none. Which of them are taken is the caller's decision. */
  readonly version: string;
  readonly rawHeaders: RawHeaders;
  readonly framing: Framing;
  /** Whether the connection stays open afterwards, as far as the client says. */
  readonly keepAlive: boolean;
  /** Value of Expect in lower case. */
  readonly expect: string | undefined;
}

/** Head of an answer. */
export interface ResponseHead {
  readonly status: number;
  readonly rawHeaders: RawHeaders;
  readonly framing: Framing;
  readonly keepAlive: boolean;
}

/** Length of a body in bytes, or how its end is found. */
export type Framing = number | "chunked" | "close";

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e\x80-\xff]+)(?: HTTP\/([0-9]\.[0-9]))?$/;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Whether a text may stand as a field value (RFC 9110, 5.5). */
export const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const LENGTH = /^[0-9]{1,15}$/;

interface Fields {
  readonly rawHeaders: RawHeaders;
  length: number | undefined;
  chunked: boolean;
  close: boolean;
  keepAlive: boolean;
  expect: string | undefined;
}

/** Fields of a head without its first line; undefined when they are malformed. */
function parseFields(head: string, from: number): Fields | undefined {
  const rawHeaders: RawHeaders = [];
  const fields: Fields = {
    rawHeaders,
    length: undefined,
    chunked: false,
    close: false,
    keepAlive: false,
    expect: undefined,
  };
  let at = from;
  while (at < head.length) {
    let end = head.indexOf("\r\n", at);
    if (end < 0) end = head.length;
    const colon = head.indexOf(":", at);
    if (colon < 0 || colon >= end) return undefined;
    const name = head.slice(at, colon);
    // The value without the blanks around it; by hand, because a regular expression could take long on runs of them.
    let [start, stop] = [colon + 1, end];
    while (start < stop && isBlank(head.charCodeAt(start))) start++;
    while (stop > start && isBlank(head.charCodeAt(stop - 1))) stop--;
    const value = head.slice(start, stop);
    // A folded line begins with a blank, which no name has; a bare CR or LF is in no value.
    if (!NAME.test(name) || !FIELD_VALUE.test(value)) return undefined;
    rawHeaders.push(name, value);
    if (!takeFraming(fields, name, value)) return undefined;
    at = end + 2;
  }
  // Two readings of where the message ends (RFC 9112, 6.3).
  return fields.chunked && fields.length !== undefined ? undefined : fields;
}

const isBlank = (code: number) => code === 0x20 || code === 0x09;

/** Looks at fields that say how the message is framed; false: they contradict themselves. */
function takeFraming(fields: Fields, name: string, value: string): boolean {
  switch (name.length) {
    case 6:
      if (name.toLowerCase() === "expect") fields.expect = value.toLowerCase();
      return true;
    case 10:
      if (name.toLowerCase() === "connection") {
        const options = value.toLowerCase();
        if (options.includes("close")) fields.close = true;
        if (options.includes("keep-alive")) fields.keepAlive = true;
      }
      return true;
    case 14:
      if (name.toLowerCase() !== "content-length") return true;
      if (fields.length !== undefined || !LENGTH.test(value)) return false;
      fields.length = Number(value);
      return true;
    case 17:
      if (name.toLowerCase() !== "transfer-encoding") return true;
      if (fields.chunked || value.toLowerCase() !== "chunked") return false;
      fields.chunked = true;
      return true;
    default:
      return true;
  }
}

/** Parses the head of a request, without the empty line at its end. Undefined: it is malformed. */
export function parseRequestHead(head: string): RequestHead | undefined {
  const end = head.indexOf("\r\n");
  const line = REQUEST_LINE.exec(end < 0 ? head : head.slice(0, end));
  if (line === null) return undefined;
  const fields = parseFields(head, end < 0 ? head.length : end + 2);
  if (fields === undefined) return undefined;
  const version = line[3] ?? "0.9";
  return {
    method: line[1]!,
    target: line[2]!,
    version,
    rawHeaders: fields.rawHeaders,
    framing: fields.chunked ? "chunked" : fields.length ?? 0,
    keepAlive: !fields.close && (version === "1.1" || fields.keepAlive),
    expect: fields.expect,
  };
}

/** Parses the head of an answer to a request with `method`. Undefined: it is malformed. */
export function parseResponseHead(head: string, method: string): ResponseHead | undefined {
  const end = head.indexOf("\r\n");
  const line = STATUS_LINE.exec(end < 0 ? head : head.slice(0, end));
  if (line === null) return undefined;
  const fields = parseFields(head, end < 0 ? head.length : end + 2);
  if (fields === undefined) return undefined;
  const status = Number(line[2]);
  const bodiless = method === "HEAD" || status === 204 || status === 304 || status < 200;
  const framing = bodiless ? 0 : fields.chunked ? "chunked" : fields.length ?? "close";
  const keepAlive = !fields.close && framing !== "close" && (line[1] === "1" || fields.keepAlive);
  return { status, rawHeaders: fields.rawHeaders, framing, keepAlive };
}

/** Longest line with a chunk's size: eight digits and CR LF. */
const MAX_SIZE_LINE = 10;
const SIZE_LINE = /^[0-9A-Fa-f]{1,8}\r\n$/;

/** Takes the chunked coding away, piece by piece. */
export class ChunkDecoder {
  #line = "";
  /** Bytes of the current chunk that are to come. */
  #left = 0;
  #state: "size" | "data" | "data-end" | "last" | "done" = "size";

  /** True when the last chunk was read. */
  get done(): boolean {
    return this.#state === "done";
  }

  /**
   * Reads bytes; `take` gets what belongs to the body.
   * @returns how many bytes belong to this message, or -1 when they are malformed.
   */
  push(bytes: Uint8Array, take: (part: Uint8Array) => void): number {
    let at = 0;
    while (at < bytes.length && this.#state !== "done") {
      if (this.#state === "data") {
        const part = bytes.subarray(at, at + this.#left);
        at += part.length;
        this.#left -= part.length;
        take(part);
        if (this.#left === 0) this.#state = "data-end";
        continue;
      }
      this.#line += String.fromCharCode(bytes[at++]!);
      if (!this.#takeLine()) return -1;
    }
    return at;
  }

  #takeLine(): boolean {
    const line = this.#line;
    if (this.#state === "size") {
      if (!line.endsWith("\n")) return line.length < MAX_SIZE_LINE && /^[0-9A-Fa-f]{0,8}\r?$/.test(line);
      if (!SIZE_LINE.test(line)) return false;
      this.#left = parseInt(line, 16);
      this.#state = this.#left === 0 ? "last" : "data";
    } else {
      if (line.length < 2) return line === "\r";
      if (line !== "\r\n") return false;
      this.#state = this.#state === "last" ? "done" : "size";
    }
    this.#line = "";
    return true;
  }
}

/** Whether a part of a head has a line feed without its carriage return: then it need not be waited for any longer. */
export function hasBareLineFeed(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) {
    if (bytes[at - 1] !== 0x0d) return true;
  }
  return false;
}

/** Position of the empty line that ends a head, from `from` on; -1 without one. Returned is where its first CR stands. */
export function headEnd(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0x0d, from); at >= 0; at = bytes.indexOf(0x0d, at + 1)) {
    if (bytes[at + 1] === 0x0a && bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a) return at;
  }
  return -1;
}
