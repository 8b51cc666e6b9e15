/** A request as it arrives: what the runtime calls IncomingMessage, as far as a gateway needs it, without the weight of a stream. */

import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import type { TLSSocket } from "node:tls";

/**
 * One request. Its body comes as `data` to whoever listens and has called `resume`; until then the connection is not read. `end` when
 * it is whole; `close` when the connection ended before it was.
 */
export class Http1Request {
  /** The whole message has arrived. */
  complete = false;
  #gone = false;
  #flowing = false;
  #ended = false;
  #waiting: Uint8Array[] | undefined;
  /** Made for who listens: to most requests, which have no body, nobody does. */
  #events: EventEmitter | undefined;

  /** @param wanted Called when somebody wants more of the body. */
  constructor(readonly socket: TLSSocket, readonly method: string, readonly wanted: () => void) {}

  on(event: "data", listener: (part: Uint8Array) => void): void;
  on(event: "end" | "close" | "aborted" | "error", listener: () => void): void;
  on(event: string, listener: (part: Uint8Array) => void): void {
    (this.#events ??= new EventEmitter()).on(event, listener);
  }

  off(event: "data", listener: (part: Uint8Array) => void): void;
  off(event: "end" | "close" | "aborted" | "error", listener: () => void): void;
  off(event: string, listener: (part: Uint8Array) => void): void {
    this.#events?.off(event, listener);
  }

  /** Lets the body come; what is there comes after the current turn, so that every listener is in place. */
  resume(): void {
    if (this.#flowing) return;
    this.#flowing = true;
    queueMicrotask(() => this.#flush());
  }

  /** Holds the body back. */
  pause(): void {
    this.#flowing = false;
  }

  /** A part of the body arrived. False: do not read on before `wanted`. */
  push(part: Uint8Array): boolean {
    if (this.#gone) return true;
    if (this.#flowing && this.#waiting === undefined) this.#events?.emit("data", part);
    else (this.#waiting ??= []).push(part);
    return this.#flowing;
  }

  /** The message is whole. */
  finish(): void {
    this.complete = true;
    this.#flush();
  }

  /** The rest of the message will not come. */
  breakOff(): void {
    if (this.complete || this.#gone) return;
    this.#gone = true;
    this.#waiting = undefined;
    this.#events?.emit("close");
  }

  #flush(): void {
    while (this.#flowing && this.#waiting !== undefined) {
      // Together: one after the other would take time with the square of their number.
      const part = this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting);
      this.#waiting = undefined;
      this.#events?.emit("data", part);
    }
    if (!this.#flowing || this.#gone) return;
    if (!this.complete) return this.wanted();
    if (this.#ended || this.#waiting !== undefined) return;
    this.#ended = true;
    this.#events?.emit("end");
  }
}
