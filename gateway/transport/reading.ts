/**
 * Stops and starts reading a connection, so that what nobody takes waits in the kernel, and in the end at the other side.
 *
 * A TLS socket of this runtime that is paused reads on: bytes are decrypted and kept without bound (a client could leave 200 MB ahead
 * of an answer). So the TCP connection under it is stopped as well. No public name leads to that; where it is missing, only the
 * runtime's own pause is left, and the tests of this file fail.
 */

import type { Socket } from "node:net";

/** What reads the TCP connection under TLS. */
interface Reading {
  readStop(): number;
  readStart(): number;
}

function underTls(socket: Socket): Reading | undefined {
  const handle =
    (socket as { readonly _handle?: { readonly _parent?: Partial<Reading> | null } | null })._handle;
  const parent = handle?._parent;
  return typeof parent?.readStop === "function" && typeof parent.readStart === "function"
    ? parent as Reading
    : undefined;
}

/** Reads nothing more, except what was read already and is on its way. */
export function stopReading(socket: Socket): void {
  socket.pause();
  underTls(socket)?.readStop();
}

/** Reads on. */
export function readOn(socket: Socket): void {
  if (!socket.destroyed) underTls(socket)?.readStart();
  socket.resume();
}
