/** A request as it arrives: what `node:http` calls IncomingMessage, as far as the gateway uses it. */

import { Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { RequestHead } from "./message.ts";

/** One request. Its body, when it has one, is read as from any stream; unread it holds the connection back. */
export class Http1Incoming extends Readable {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  readonly rawHeaders: string[];
  /** The whole message has arrived. */
  complete = false;
  aborted = false;
  #headers: Record<string, string> | undefined;

  constructor(readonly socket: TLSSocket, head: RequestHead) {
    super({ autoDestroy: false, emitClose: false });
    this.method = head.method;
    this.url = head.target;
    this.httpVersion = head.version;
    this.rawHeaders = head.rawHeaders;
  }

  /** Fields by lower-case name; those that came twice are joined with a comma. */
  get headers(): Record<string, string> {
    if (this.#headers !== undefined) return this.#headers;
    const headers: Record<string, string> = Object.create(null);
    for (let i = 0; i < this.rawHeaders.length; i += 2) {
      const name = this.rawHeaders[i]!.toLowerCase();
      headers[name] = name in headers
        ? `${headers[name]}, ${this.rawHeaders[i + 1]}`
        : this.rawHeaders[i + 1]!;
    }
    return this.#headers = headers;
  }

  override _read(): void {
    // A message without a body ends when somebody wants to read it: most are never read.
    if (this.complete) this.push(null);
    else this.socket.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    callback(error);
    if (!this.complete && !this.aborted) this.socket.destroy();
    this.emit("close");
  }

  /** The rest of the message will not come; the connection is somebody else's to close. */
  breakOff(): void {
    if (this.complete || this.aborted) return;
    this.aborted = true;
    this.emit("aborted");
    this.destroy();
  }
}
