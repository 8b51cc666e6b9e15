/**
 * HTTP/1.1 over TLS on the runtime's `node:tls`, with the events and settings of `node:https`, as far as the listener uses them.
 *
 * Why not `node:https` itself: of the 76 us of processor that a proxied request costs on it, 50 are spent in its messages, parser and
 * agent, and 27 on sockets and TLS (docs/benchmarks/gateway.md). Its parser also forgives what this one refuses.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { Server as TlsServer, type TlsOptions, type TLSSocket } from "node:tls";
import { type Http1Bounds, Http1Connection, type Http1Events } from "./connection.ts";

/** Settings; names are those of `node:https`. */
export interface Http1Options extends TlsOptions, Omit<Http1Bounds, "maxRequestsPerSocket"> {
  /** How often phases are looked at that take too long, milliseconds. */
  readonly connectionsCheckingInterval: number;
}

/** The server. Events: `request`, `checkContinue`, `checkExpectation`, `connect`, `clientError`, and those of `node:tls`. */
export class Http1Server extends TlsServer {
  /** The last of so many requests closes its connection; 0: no bound. */
  maxRequestsPerSocket = 0;
  readonly #open = new Set<Http1Connection>();
  #sweep: ReturnType<typeof setInterval> | undefined;

  constructor(options: Http1Options) {
    super(options);
    const bounds: Http1Bounds = {
      maxHeaderSize: options.maxHeaderSize,
      headersTimeout: options.headersTimeout,
      requestTimeout: options.requestTimeout,
      keepAliveTimeout: options.keepAliveTimeout,
      maxRequestsPerSocket: 0,
    };
    const events: Http1Events = {
      request: (kind, incoming, outgoing) =>
        kind === "connect"
          ? void this.emit(kind, incoming, incoming.socket)
          : void this.emit(kind, incoming, outgoing),
      fault: (code, socket) =>
        void this.emit("clientError", Object.assign(new Error(code), { code }), socket),
    };
    this.on("secureConnection", (socket: TLSSocket) => {
      if (socket.destroyed) return;
      bounds.maxRequestsPerSocket = this.maxRequestsPerSocket;
      const connection = new Http1Connection(socket, bounds, events);
      this.#open.add(connection);
      socket.once("close", () => this.#open.delete(connection));
    });
    // A server can be closed and listen again, at another socket; connections may outlive the listening.
    this.on("listening", () => {
      clearInterval(this.#sweep);
      this.#sweep = setInterval(() => this.#look(), options.connectionsCheckingInterval);
    });
    this.on("close", () => clearInterval(this.#sweep));
  }

  #look(): void {
    const now = performance.now();
    for (const connection of this.#open) connection.sweep(now);
  }

  /** Closes connections on which no request is being answered or has begun to arrive. */
  closeIdleConnections(): void {
    for (const connection of this.#open) if (connection.idle) connection.socket.destroy();
  }
}

/** A listener of requests, as `node:https` calls it. */
export type Http1Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/** Makes a server. */
export function createServer(options: Http1Options): Http1Server {
  return new Http1Server(options);
}
