/**
 * Puts a strict reader between a TLS connection and the runtime's HTTP parser: each byte is read before the parser gets it,
 * and of a message that is refused the parser never gets the end of the head. The runtime's timeouts go on to count,
 * because what was read arrives at the parser at once.
 */

import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Why bytes were refused, and how many of them stand before the fault. */
export interface ByteFault {
  readonly reason: string;
  readonly goodBytes: number;
  /** In the body of a message that is being answered. */
  readonly inBody: boolean;
  readonly method?: string;
  readonly target?: string;
}

/** What is compared with what the parser makes of the same bytes. */
export interface ReadHead {
  readonly method: string;
  readonly path: string;
  /** With its `?`; empty when there is none. */
  readonly query: string;
}

/** A reader of one connection. */
export interface ByteReader<H> {
  /** Undefined: all bytes may be passed on. */
  push(chunk: Uint8Array): ByteFault | undefined;
  /** What follows belongs to no message and is dropped. */
  readonly isOver: boolean;
  /** Bytes of the last chunk before that. */
  readonly usedBytes: number;
  /** Heads that were read, of which the parser has not told yet. */
  readonly heads: H[];
}

/** Requests of one connection that wait for their answers: more is no honest pipelining. */
export const MAX_PIPELINED = 64;
/** After a refusal the client has this long to read it, milliseconds. */
const LINGER_MS = 1_000;

/** A connection with its reader. */
export class StrictTap<H extends ReadHead> {
  /** Answers that have not ended, oldest first. */
  readonly #open = new Set<ServerResponse>();
  #fault: ByteFault | undefined;
  #settled = false;

  constructor(
    readonly socket: Socket,
    readonly reader: ByteReader<H>,
    /** Writes the answer to a refused message and ends the socket. */
    readonly answer: (fault: ByteFault) => void,
  ) {
    // The runtime has attached exactly one listener; were it otherwise, bytes could go around us.
    const [parse, ...others] = socket.listeners("data") as ((chunk: Uint8Array) => void)[];
    if (parse === undefined || others.length > 0) {
      socket.destroy();
      return;
    }
    socket.removeAllListeners("data");
    socket.on("data", (chunk: Uint8Array) => this.#data(chunk, parse));
  }

  #data(chunk: Uint8Array, parse: (chunk: Uint8Array) => void): void {
    if (this.#fault !== undefined) return;
    if (this.reader.isOver) return;
    const fault = this.reader.push(chunk) ??
      (this.reader.heads.length + this.#open.size > MAX_PIPELINED
        ? { reason: "pipelining-too-deep", goodBytes: 0, inBody: false }
        : undefined);
    if (fault === undefined) {
      const { usedBytes } = this.reader;
      return parse.call(this.socket, usedBytes === chunk.length ? chunk : chunk.subarray(0, usedBytes));
    }
    this.#fault = fault;
    if (fault.goodBytes > 0) parse.call(this.socket, chunk.subarray(0, fault.goodBytes));
    this.#settle();
  }

  /** A request that the parser found. Undefined when the two readers do not agree: the connection is lost then. */
  begin(incoming: { method?: string; url?: string }, outgoing: ServerResponse): H | undefined {
    const head = this.reader.heads.shift();
    if (head === undefined || incoming.method !== head.method || incoming.url !== head.path + head.query) {
      return undefined;
    }
    this.#open.add(outgoing);
    outgoing.once("close", () => {
      this.#open.delete(outgoing);
      this.#settle();
    });
    return head;
  }

  /** Answers the refused message when those before it have their answers. */
  #settle(): void {
    const fault = this.#fault;
    if (fault === undefined || this.#settled || this.socket.destroyed) return;
    const own = fault.inBody ? 1 : 0;
    if (this.#open.size > own) return;
    this.#settled = true;
    const [current] = this.#open;
    // In the middle of another answer a second one would be read as its content.
    if (current?.headersSent || !this.socket.writable) return void this.socket.destroy();
    this.answer(fault);
    const timer = setTimeout(() => this.socket.destroy(), LINGER_MS);
    this.socket.once("close", () => clearTimeout(timer));
  }
}
