/** A request as it arrives: what the runtime calls IncomingMessage, as far as a gateway needs it, without the weight of a stream. */

import { EventEmitter } from "node:events";
import type { TLSSocket } from "node:tls";

/**
 * One request. Its body comes as `data` to whoever listens and has called `resume`; until then the connection is not read. `end` when
 * it is whole; `close` when the connection ended before it was.
 */
export class Http1Request extends EventEmitter {
  /** The whole message has arrived. */
  complete = false;
  #gone = false;
  #flowing = false;
  #ended = false;
  readonly #waiting: Uint8Array[] = [];

  /** @param wanted Called when somebody wants more of the body. */
  constructor(readonly socket: TLSSocket, readonly method: string, readonly wanted: () => void) {
    super();
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
    if (this.#flowing && this.#waiting.length === 0) this.emit("data", part);
    else this.#waiting.push(part);
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
    this.#waiting.length = 0;
    this.emit("close");
  }

  #flush(): void {
    while (this.#flowing && this.#waiting.length > 0) this.emit("data", this.#waiting.shift());
    if (!this.#flowing || this.#gone) return;
    if (!this.complete) return this.wanted();
    if (this.#ended || this.#waiting.length > 0) return;
    this.#ended = true;
    this.emit("end");
  }
}
