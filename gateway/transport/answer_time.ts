/** The time that a client has to take an answer. The runtime bounds how long a request may take to arrive, and nothing after that. */

import type { ServerResponse } from "node:http";

/** Destroys the connection of an answer that is not taken in time. Counted from when its headers are written. */
export function boundAnswer(outgoing: ServerResponse, milliseconds: number): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = outgoing.writeHead;
  outgoing.writeHead = function (this: ServerResponse, ...args: unknown[]): ServerResponse {
    timer ??= setTimeout(() => (outgoing.socket ?? outgoing).destroy(), milliseconds);
    return Reflect.apply(begin, this, args);
  } as typeof begin;
  outgoing.once("close", () => clearTimeout(timer));
}
