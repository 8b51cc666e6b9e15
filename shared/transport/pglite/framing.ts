/**
 * Frames of PostgreSQL's protocol, version 3.0 (PostgreSQL manual, "Frontend/Backend Protocol", message formats): as much as
 * a server needs that gives many clients one backend. What it does not know never reaches the backend, which a malformed
 * frame would bring down.
 */

import { concat, toUtf8, writeUint } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";

/** Longest frame of a client, in bytes. */
export const FRAME_LIMIT_BYTES = 16 * 1024 * 1024;
/** Longest startup packet, in bytes; PostgreSQL's own limit. */
export const STARTUP_LIMIT_BYTES = 10_000;

/** Codes in place of a protocol version in a startup packet. */
export const STARTUP = {
  PROTOCOL_3_0: 196_608,
  CANCEL: 80_877_102,
  TLS: 80_877_103,
  GSS: 80_877_104,
} as const;

/** One frame: type letter and the whole of its bytes. */
export interface Frame {
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** Frames that a client may send: query, parse, bind, describe, execute, close, sync, flush, terminate. */
const CLIENT_FRAMES = "QPBDECSHX";

/** Cuts a stream into frames. */
export class FrameReader {
  #buffer = new Uint8Array();

  /** Adds what was received. */
  push(chunk: Uint8Array): void {
    this.#buffer = this.#buffer.length === 0
      ? chunk.slice()
      : concat(this.#buffer, chunk) as Uint8Array<ArrayBuffer>;
  }

  /** Code of the next startup packet, undefined when it is not whole yet. @throws {CodedError} `PGLITE_PROTOCOL`. */
  startup(): number | undefined {
    if (this.#buffer.length < 8) return undefined;
    const length = uint32(this.#buffer, 0);
    if (length < 8 || length > STARTUP_LIMIT_BYTES) throw malformed("startup packet");
    if (this.#buffer.length < length) return undefined;
    const code = uint32(this.#buffer, 4);
    this.#buffer = this.#buffer.subarray(length);
    return code;
  }

  /** Every frame that is whole. @throws {CodedError} `PGLITE_PROTOCOL`. */
  frames(): Frame[] {
    const frames: Frame[] = [];
    while (this.#buffer.length >= 5) {
      const type = String.fromCharCode(this.#buffer[0]!);
      const length = uint32(this.#buffer, 1);
      if (!CLIENT_FRAMES.includes(type)) throw malformed("frame: of no type that is taken");
      if (length < 4 || length > FRAME_LIMIT_BYTES) throw malformed("frame: its length is out of bounds");
      if (this.#buffer.length < 1 + length) break;
      frames.push({ type, bytes: this.#buffer.subarray(0, 1 + length) });
      this.#buffer = this.#buffer.subarray(1 + length);
    }
    return frames;
  }
}

/**
 * Puts a client's prefix before the names of prepared statements, which all clients of one backend share.
 * @param names the client's statements; kept up to date.
 */
export function prefixStatements(frame: Frame, prefix: string, names: Set<string>): Frame {
  if (frame.type === "P") return renamed(frame, 5, prefix, (name) => names.add(name));
  if (frame.type === "B") return renamed(frame, afterString(frame.bytes, 5), prefix);
  const kind = frame.bytes[5];
  if (frame.type === "D" && kind === 0x53) return renamed(frame, 6, prefix);
  if (frame.type === "C" && kind === 0x53) return renamed(frame, 6, prefix, (name) => names.delete(name));
  return frame;
}

function renamed(frame: Frame, offset: number, prefix: string, note?: (name: string) => void): Frame {
  const end = afterString(frame.bytes, offset);
  if (end === offset + 1) return frame; // the statement without a name
  const tail = concat(toUtf8(prefix), frame.bytes.subarray(offset));
  note?.(prefix + new TextDecoder().decode(frame.bytes.subarray(offset, end - 1)));
  const head = frame.bytes.subarray(5, offset);
  return { type: frame.type, bytes: message(frame.type, head, tail) };
}

/** Offset behind the zero of the text that begins at `offset`. @throws {CodedError} `PGLITE_PROTOCOL`. */
function afterString(bytes: Uint8Array, offset: number): number {
  const zero = bytes.indexOf(0, offset);
  if (zero < 0) throw malformed("frame: a text without end");
  return zero + 1;
}

/** The SQL of a query or parse frame, undefined for the others. */
export function sqlOf(frame: Frame): string | undefined {
  if (frame.type !== "Q" && frame.type !== "P") return undefined;
  const begin = frame.type === "Q" ? 5 : afterString(frame.bytes, 5);
  return new TextDecoder().decode(frame.bytes.subarray(begin, afterString(frame.bytes, begin) - 1));
}

/** Builds a frame. */
export function message(type: string, ...parts: Uint8Array[]): Uint8Array {
  const body = concat(...parts);
  return concat(Uint8Array.of(type.charCodeAt(0)), writeUint(body.length + 4, 4), body);
}

/** Text with the zero behind it. */
export function zeroEnded(text: string): Uint8Array {
  return concat(toUtf8(text), Uint8Array.of(0));
}

/** ErrorResponse that ends the connection. */
export function fatal(sqlState: string, text: string): Uint8Array {
  const field = (type: string, value: string) => zeroEnded(type + value);
  return message(
    "E",
    field("S", "FATAL"),
    field("V", "FATAL"),
    field("C", sqlState),
    field("M", text),
    Uint8Array.of(0),
  );
}

/** Status in the last ReadyForQuery of an answer: `I` idle, `T` in a transaction, `E` in a failed one; undefined without. */
export function lastStatus(answer: Uint8Array): "I" | "T" | "E" | undefined {
  let status: string | undefined;
  for (let offset = 0; offset + 5 <= answer.length; offset += 1 + uint32(answer, offset + 1)) {
    if (answer[offset] === 0x5a) status = String.fromCharCode(answer[offset + 5]!);
  }
  return status === "I" || status === "T" || status === "E" ? status : undefined;
}

function uint32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, 4).getUint32(0);
}

function malformed(what: string): CodedError {
  return new CodedError("PGLITE_PROTOCOL", `Cannot read ${what}`);
}

defineErrors({
  PGLITE_PROTOCOL: {
    fault: "peer",
    retry: false,
    next: "The client does not speak PostgreSQL's protocol 3.0.",
  },
});
