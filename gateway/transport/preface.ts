/**
 * What a proxy sends in front of TLS. It is read from the TCP socket, and what follows it is put back, before TLS begins; the runtime's TLS
 * takes what was put back (held by a test, with header and handshake in one segment).
 */

import type { Socket } from "node:net";

/** Reads a header from the first bytes of a connection. */
export type Preface = (
  bytes: Uint8Array,
) =>
  | { readonly kind: "more" }
  | { readonly kind: "malformed" }
  | { readonly kind: "header"; readonly bytes: number; readonly address: string | undefined };

/** Reads the header; undefined, and the socket destroyed, when it is malformed or does not come in time. */
export function readPreface(
  socket: Socket,
  preface: Preface,
  timeoutMs: number,
): Promise<{ readonly address: string | undefined } | undefined> {
  return new Promise((resolve) => {
    let received: Uint8Array = new Uint8Array(0);
    const end = (result: { readonly address: string | undefined } | undefined) => {
      clearTimeout(timer);
      socket.off("data", onData);
      socket.off("close", onLost);
      socket.off("error", onLost);
      if (result === undefined) {
        socket.on("error", () => {});
        socket.destroy();
      }
      resolve(result);
    };
    const onLost = () => end(undefined);
    const onData = (part: Uint8Array) => {
      const bytes = new Uint8Array(received.length + part.length);
      bytes.set(received);
      bytes.set(part, received.length);
      received = bytes;
      const read = preface(bytes);
      if (read.kind === "more") return;
      if (read.kind === "malformed") return end(undefined);
      socket.pause();
      if (bytes.length > read.bytes) socket.unshift(bytes.subarray(read.bytes));
      end({ address: read.address });
    };
    const timer = setTimeout(onLost, timeoutMs);
    socket.on("data", onData);
    socket.once("close", onLost);
    socket.once("error", onLost);
  });
}

/** A TCP connection or the TLS on it, which have the same other end. */
interface Ended {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  /** The TCP socket under a TLS socket: after a failed handshake only that still knows the other end. No public name leads there. */
  readonly _parent?: Ended | null | undefined;
}

/** Addresses that prefaces named, found again by the other end of the connection: the TLS socket does not know its TCP socket. */
export class NamedPeers {
  #names = new Map<string, string>();

  /** Remembers a name while the connection is open. */
  add(socket: Socket, address: string): string {
    const end = endOf(socket);
    this.#names.set(end, address);
    socket.once("close", () => this.#names.delete(end));
    return address;
  }

  /** The named address, or the connection's own. */
  addressOf(socket: Ended): string {
    const ended = socket.remoteAddress ? socket : socket._parent ?? socket;
    const named = this.#names.size === 0 ? undefined : this.#names.get(endOf(ended));
    return named ?? ended.remoteAddress ?? "";
  }
}

const endOf = ({ remoteAddress, remotePort }: Ended) => `${remoteAddress} ${remotePort}`;
