/**
 * The public listener: HTTP/1.1 over TLS 1.2 or 1.3 on `node:https`, with a client certificate on every
 * connection. This file knows sockets and order, not rules: those come in as callbacks.
 *
 * `rejectUnauthorized` is off so that a refusal has a reason. The runtime does not refuse in the TLS layer
 * either: it lets the handshake end, looks at the same verdict (`socket.authorized`) and destroys the socket,
 * and then neither certificate nor cause can be had. Here the socket is destroyed on that verdict at the same
 * moment, before an HTTP parser sees it; only the certificate is taken aside first, for the diagnosis. A
 * connection that the runtime accepts has to pass the application's own check as well (`admitPeer`), which
 * revoked certificates and sessions resumed from elsewhere do not. The canaries prove all that at each start.
 */

import { createServer, type Server } from "node:https";
import { Server as NetServer, type Socket } from "node:net";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import { CodedError } from "shared/base/errors.ts";
import "./errors.ts";
import { boundAnswer } from "./answer_time.ts";
import { presentedChain } from "./peer_certificate.ts";
import { NamedPeers, type Preface, readPreface } from "./preface.ts";
import { type ByteFault, type ByteReader, type ReadHead, StrictTap } from "./strict_tap.ts";

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

/** Why a message is refused that never became a request: the runtime's parser or clock, or our own reading. */
export type MalformedCause = "overflow" | "timeout" | "malformed" | ByteFault;

/** Decisions that the listener asks for. `H` is a head as the reader of the connection read it. */
export interface ListenerCallbacks<P, H extends ReadHead = ReadHead> {
  /**
   * Whether a TCP connection begins with a header of a proxy: what reads it, undefined when there is none, or that the connection is
   * refused. The address that the header names is the connection's from there on.
   */
  preface?(address: string): Preface | "refuse" | undefined;
  /** Before TLS, for each TCP connection: false destroys it. */
  admitAddress(address: string): boolean;
  /** A TCP connection that was admitted is gone. */
  connectionEnded(address: string): void;
  /** After the handshake; undefined refuses. Called for refused peers too, so that they have a reason. */
  admitPeer(facts: PeerFacts): Promise<P | undefined>;
  /** A reader for a new connection: every byte passes through it before the runtime's parser gets it. */
  reader(): ByteReader<H>;
  /** A request on a connection whose peer was admitted. `wantsContinue`: the client waits for 100 (Continue). */
  request(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    peer: P,
    wantsContinue: boolean,
    head: H,
  ): void;
  /** A message that was refused, or a timeout, of an admitted peer. Answer on `socket` when it is writable, and end it. */
  malformed(socket: Socket, cause: MalformedCause, address: string, peer: P): void;
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
  /** For the client to take an answer, from its first byte on. */
  readonly answerTimeoutMs: number;
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
  /**
   * Leaves its address and goes on at a listening socket that another process holds. Open connections are closed.
   * @throws {CodedError} `GATEWAY_LISTEN`.
   */
  moveTo(fd: number): Promise<void>;
  /** New key material for new handshakes; open connections stay. */
  renew(secrets: ListenerSecrets): void;
  /** Stops accepting; open connections stay, idle ones until their keep-alive timeout. */
  stopAccepting(): void;
  /** Resolves when every connection is closed after `stopAccepting`. */
  readonly ended: Promise<void>;
  /** Asks again about every open connection, and destroys those for which the answer is no. */
  recheck(keep: (peer: P) => Promise<boolean>): Promise<void>;
  /** Asks about the address of every open connection, and destroys those for which the answer is no. */
  recheckAddresses(keep: (address: string) => boolean): void;
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
export async function openListener<P, H extends ReadHead = ReadHead>(
  address: { readonly host: string; readonly port: number },
  secrets: ListenerSecrets,
  bounds: ListenerBounds,
  callbacks: ListenerCallbacks<P, H>,
): Promise<Listener<P>> {
  /** With the client's address. */
  const sockets = new Map<Socket, string>();
  const named = new NamedPeers();
  const admitted = new Map<TLSSocket, P>();
  const peers = new WeakMap<TLSSocket, Promise<P | undefined>>();
  const answering = new WeakMap<Socket, ServerResponse>();
  const taps = new WeakMap<Socket, StrictTap<H>>();
  const server: Server = createServer({
    ...tlsOptions(secrets),
    requestCert: true,
    rejectUnauthorized: false, // see the top of this file
    // curl --http1.0 offers nothing but the second, and would fail its handshake.
    ALPNProtocols: ["http/1.1", "http/1.0"],
    handshakeTimeout: bounds.handshakeTimeoutMs,
    headersTimeout: bounds.headersTimeoutMs,
    requestTimeout: bounds.requestTimeoutMs,
    keepAliveTimeout: bounds.keepAliveTimeoutMs,
    connectionsCheckingInterval: SWEEP_MS,
    maxHeaderSize: bounds.maxHeaderBytes,
    requireHostHeader: false, // the strict reading refuses it, with a reason
    insecureHTTPParser: false,
  });
  // The parser drops what is above the bound in silence; one more lets the strict reading see the excess.
  server.maxHeadersCount = bounds.maxHeaders + 1;
  server.maxRequestsPerSocket = bounds.maxRequestsPerConnection;

  // In front of the runtime's own listener, which begins TLS: a refused address does not get that far.
  const beginTls = server.listeners("connection");
  server.removeAllListeners("connection");
  const enter = (socket: Socket, remote: string) => {
    if (!callbacks.admitAddress(remote)) return void socket.destroy();
    sockets.set(socket, remote);
    socket.once("close", () => {
      sockets.delete(socket);
      callbacks.connectionEnded(remote);
    });
    for (const begin of beginTls) begin.call(server, socket);
  };
  server.on("connection", (socket: Socket) => {
    const remote = socket.remoteAddress ?? "";
    const preface = callbacks.preface?.(remote);
    if (preface === "refuse") return void socket.destroy();
    if (preface === undefined) return void enter(socket, remote);
    sockets.set(socket, remote);
    socket.once("close", () => sockets.delete(socket));
    readPreface(socket, preface, bounds.handshakeTimeoutMs).then((read) => {
      if (read === undefined) return void callbacks.handshakeFailed("PROXY_HEADER", remote);
      enter(socket, named.add(socket, read.address ?? remote));
    });
  });

  // Before the HTTP parser is attached.
  server.prependListener("secureConnection", (socket: TLSSocket) => {
    const facts: PeerFacts = {
      chain: presentedChain(socket),
      authorized: socket.authorized,
      resumed: socket.isSessionReused(),
      protocol: socket.getProtocol() ?? "",
      address: named.addressOf(socket),
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

  // After the runtime's own listener, which attaches the parser.
  const malformed = async (socket: Socket, cause: MalformedCause) => {
    const remote = named.addressOf(socket);
    const peer = await peers.get(socket as TLSSocket);
    if (peer === undefined || !socket.writable) return void socket.destroy();
    callbacks.malformed(socket, cause, remote, peer);
  };
  server.on("secureConnection", (socket: TLSSocket) => {
    if (socket.destroyed) return;
    taps.set(socket, new StrictTap(socket, callbacks.reader(), (fault) => void malformed(socket, fault)));
  });

  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse, wantsContinue: boolean) => {
    const head = taps.get(incoming.socket)?.begin(incoming, outgoing);
    if (head === undefined) return void incoming.socket.destroy();
    answering.set(incoming.socket, outgoing);
    boundAnswer(outgoing, bounds.answerTimeoutMs);
    // A connection may break at any moment; what that means is decided where the answer is written.
    outgoing.on("error", () => {});
    incoming.on("error", () => {});
    const peer = await peers.get(incoming.socket as TLSSocket);
    if (peer === undefined) return void incoming.socket.destroy();
    callbacks.request(incoming, outgoing, peer, wantsContinue, head);
  };
  server.on("request", (incoming, outgoing) => void serve(incoming, outgoing, false));
  // Without these two the runtime would answer on its own, before anything was decided.
  server.on("checkContinue", (incoming, outgoing) => void serve(incoming, outgoing, true));
  server.on("checkExpectation", (incoming, outgoing) => void serve(incoming, outgoing, false));
  server.on("connect", (_incoming, socket) => socket.destroy());
  server.on("dropRequest", (_incoming, socket) => socket.destroy());
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
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
    void malformed(socket, cause);
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const remote = named.addressOf(socket); // a destroyed socket does not know it any more
    socket.destroy();
    callbacks.handshakeFailed(error.code ?? "HANDSHAKE_TIMEOUT", remote);
  });

  const closed = () => new Promise<void>((resolve) => server.once("close", () => resolve()));
  // Not https.Server.close: it destroys idle connections, and with them requests that are on their way.
  const stopAccepting = () => void NetServer.prototype.close.call(server);
  const listen = (at: { host: string; port: number } | { fd: number }, where: string) =>
    new Promise<void>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) =>
        reject(new CodedError("GATEWAY_LISTEN", `Cannot listen on ${where}: ${error.code ?? error.message}`));
      server.once("error", failed);
      server.listen(at, () => {
        server.off("error", failed);
        resolve();
      });
    });
  const boundPort = () => (server.address() as { port: number } | null)?.port ?? address.port;
  await listen({ host: address.host, port: address.port }, `${address.host}:${address.port}`);
  let port = boundPort();
  let ended = closed();
  return {
    host: address.host,
    get port() {
      return port;
    },
    get ended() {
      return ended;
    },
    moveTo: async (fd) => {
      const left = ended;
      stopAccepting();
      for (const socket of [...sockets.keys()]) socket.destroy();
      await left;
      ended = closed();
      await listen({ fd }, `the handed socket ${fd}`);
      port = boundPort();
    },
    stopAccepting,
    renew: (next) => server.setSecureContext(tlsOptions(next)),
    recheck: async (keep) => {
      // One after the other: ten thousand verifications at once would keep requests waiting.
      for (const [socket, peer] of [...admitted]) {
        if (!socket.destroyed && !await keep(peer)) socket.destroy();
      }
    },
    closeIdle: () => server.closeIdleConnections(),
    recheckAddresses: (keep) => {
      for (const [socket, remote] of [...sockets]) if (!keep(remote)) socket.destroy();
    },
    destroyAll: () => [...sockets.keys()].forEach((socket) => socket.destroy()),
  };
}
