/**
 * The public listener: HTTP/1.1 over TLS 1.2 or 1.3 (http1/server.ts on `node:tls`), with a client certificate on every
 * connection. This file knows sockets and order, not rules: those come in as callbacks.
 *
 * `rejectUnauthorized` is off so that a refusal has a reason. The runtime does not refuse in the TLS layer
 * either: it lets the handshake end, looks at the same verdict (`socket.authorized`) and destroys the socket,
 * and then neither certificate nor cause can be had. Here the socket is destroyed on that verdict at the same
 * moment, before an HTTP parser sees it; only the certificate is taken aside first, for the diagnosis. A
 * connection that the runtime accepts has to pass the application's own check as well (`admitPeer`), which
 * revoked certificates and sessions resumed from elsewhere do not. The canaries prove all that at each start.
 */

import { createServer, type Http1Server as Server } from "./http1/server.ts";
import { Server as NetServer, type Socket } from "node:net";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import { CodedError } from "shared/base/errors.ts";
import "./errors.ts";
import { presentedChain } from "./peer_certificate.ts";

/** What a peer showed in its handshake. */
export interface PeerFacts {
  readonly chain: readonly Uint8Array[];
  /** What the runtime's own verification said. */
  readonly authorized: boolean;
  /** A resumed session skips the runtime's verification. */
  readonly resumed: boolean;
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
}

/** Decisions that the listener asks for. */
export interface ListenerCallbacks<P> {
  /** Before TLS, for each TCP connection: false destroys it. */
  admitAddress(address: string): boolean;
  /** A TCP connection that was admitted is gone. */
  connectionEnded(address: string): void;
  /** After the handshake; undefined refuses. Called for refused peers too, so that they have a reason. */
  admitPeer(facts: PeerFacts): Promise<P | undefined>;
  /** A request on a connection whose peer was admitted. `wantsContinue`: the client waits for 100 (Continue). */
  request(incoming: IncomingMessage, outgoing: ServerResponse, peer: P, wantsContinue: boolean): void;
  /** A message that the parser refused, or a timeout. Answer on `socket` when it is writable, and end it. */
  malformed(socket: Socket, cause: "overflow" | "timeout" | "malformed", address: string): void;
  /** A handshake that failed before any certificate. */
  handshakeFailed(code: string, address: string): void;
}

/** Bounds of every connection; times in milliseconds. */
export interface ListenerBounds {
  readonly maxHeaders: number;
  readonly maxHeaderBytes: number;
  readonly handshakeTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly maxRequestsPerConnection: number;
}

/** Key material of the listener, PEM. */
export interface ListenerSecrets {
  readonly certificate: string;
  readonly key: string;
  readonly clientAuthorities: readonly string[];
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
}

/** The listener. */
export interface Listener<P> {
  readonly host: string;
  readonly port: number;
  /** New key material for new handshakes; open connections stay. */
  renew(secrets: ListenerSecrets): void;
  /** Stops accepting; open connections stay, idle ones until their keep-alive timeout. */
  stopAccepting(): void;
  /** Resolves when every connection is closed after `stopAccepting`. */
  readonly ended: Promise<void>;
  /** Asks again about every open connection, and destroys those for which the answer is no. */
  recheck(keep: (peer: P) => Promise<boolean>): Promise<void>;
  /** Closes connections on which no request is being answered or has begun to arrive. */
  closeIdle(): void;
  /** Destroys what is open. */
  destroyAll(): void;
}

/** Node looks for connections that are past their timeouts this often; its default is 30 s. */
const SWEEP_MS = 500;

const tlsOptions = (secrets: ListenerSecrets) => ({
  cert: secrets.certificate,
  key: secrets.key,
  ca: [...secrets.clientAuthorities],
  minVersion: secrets.minVersion,
  maxVersion: "TLSv1.3" as const,
});

/** Opens the listener. @throws {CodedError} `GATEWAY_LISTEN` when the address cannot be had. */
export async function openListener<P>(
  address: { readonly host: string; readonly port: number },
  secrets: ListenerSecrets,
  bounds: ListenerBounds,
  callbacks: ListenerCallbacks<P>,
): Promise<Listener<P>> {
  const sockets = new Set<Socket>();
  const admitted = new Map<TLSSocket, P>();
  const peers = new WeakMap<TLSSocket, Promise<P | undefined>>();
  const answering = new WeakMap<Socket, ServerResponse>();
  const server: Server = createServer({
    ...tlsOptions(secrets),
    requestCert: true,
    rejectUnauthorized: false, // see the top of this file
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: bounds.handshakeTimeoutMs,
    headersTimeout: bounds.headersTimeoutMs,
    requestTimeout: bounds.requestTimeoutMs,
    keepAliveTimeout: bounds.keepAliveTimeoutMs,
    connectionsCheckingInterval: SWEEP_MS,
    maxHeaderSize: bounds.maxHeaderBytes,
  });
  server.maxRequestsPerSocket = bounds.maxRequestsPerConnection;

  // In front of the runtime's own listener, which begins TLS: a refused address does not get that far.
  const beginTls = server.listeners("connection");
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    const remote = socket.remoteAddress ?? "";
    if (!callbacks.admitAddress(remote)) return void socket.destroy();
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      callbacks.connectionEnded(remote);
    });
    for (const begin of beginTls) begin.call(server, socket);
  });

  // Before the HTTP parser is attached.
  server.prependListener("secureConnection", (socket: TLSSocket) => {
    const facts: PeerFacts = {
      chain: presentedChain(socket),
      authorized: socket.authorized,
      resumed: socket.isSessionReused(),
      protocol: socket.getProtocol() ?? "",
      address: socket.remoteAddress ?? "",
      port: socket.remotePort ?? 0,
    };
    if (!facts.authorized) socket.destroy();
    const decision = callbacks.admitPeer(facts).catch(() => undefined).then((peer) => {
      if (peer === undefined || !facts.authorized) socket.destroy();
      else if (!socket.destroyed) {
        admitted.set(socket, peer);
        socket.once("close", () => admitted.delete(socket));
      }
      return facts.authorized ? peer : undefined;
    });
    peers.set(socket, decision);
  });

  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse, wantsContinue: boolean) => {
    answering.set(incoming.socket, outgoing);
    // A connection may break at any moment; what that means is decided where the answer is written.
    outgoing.on("error", () => {});
    incoming.on("error", () => {});
    const peer = await peers.get(incoming.socket as TLSSocket);
    if (peer === undefined) return void incoming.socket.destroy();
    callbacks.request(incoming, outgoing, peer, wantsContinue);
  };
  server.on("request", (incoming, outgoing) => void serve(incoming, outgoing, false));
  // Without these two the runtime would answer on its own, before anything was decided.
  server.on("checkContinue", (incoming, outgoing) => void serve(incoming, outgoing, true));
  server.on("checkExpectation", (incoming, outgoing) => void serve(incoming, outgoing, false));
  server.on("connect", (_incoming, socket) => socket.destroy());
  server.on("dropRequest", (_incoming, socket) => socket.destroy());
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const remote = socket.remoteAddress ?? "";
    if (!peers.has(socket as TLSSocket)) return void socket.destroy(); // reported by tlsClientError
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    // In the middle of another answer a second one would be read as its content.
    const current = answering.get(socket);
    if (current?.headersSent && !current.writableFinished) return void socket.destroy();
    const cause = error.code === "HPE_HEADER_OVERFLOW"
      ? "overflow"
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? "timeout"
      : "malformed";
    callbacks.malformed(socket, cause, remote);
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    socket.destroy();
    callbacks.handshakeFailed(error.code ?? "HANDSHAKE_TIMEOUT", socket.remoteAddress ?? "");
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const where = `${address.host}:${address.port}`;
      reject(new CodedError("GATEWAY_LISTEN", `Cannot listen on ${where}: ${error.code ?? error.message}`));
    });
    server.listen({ host: address.host, port: address.port }, resolve);
  });
  const bound = server.address();
  const ended = new Promise<void>((resolve) => server.once("close", () => resolve()));
  return {
    host: address.host,
    port: typeof bound === "object" && bound !== null ? bound.port : address.port,
    renew: (next) => server.setSecureContext(tlsOptions(next)),
    // Not https.Server.close: it destroys idle connections, and with them requests that are on their way.
    stopAccepting: () => void NetServer.prototype.close.call(server),
    ended,
    recheck: async (keep) => {
      // One after the other: ten thousand verifications at once would keep requests waiting.
      for (const [socket, peer] of [...admitted]) {
        if (!socket.destroyed && !await keep(peer)) socket.destroy();
      }
    },
    closeIdle: () => server.closeIdleConnections(),
    destroyAll: () => sockets.forEach((socket) => socket.destroy()),
  };
}
