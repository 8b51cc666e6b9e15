/**
 * The public listener: HTTP/1.1 over TLS 1.2 or 1.3 on `node:tls` (messages: http1/), with a client certificate on every
 * connection. This file knows sockets and order, not rules: those come in as callbacks.
 *
 * `rejectUnauthorized` is off so that a refusal has a reason. The runtime does not refuse in the TLS layer
 * either: it lets the handshake end, looks at the same verdict (`socket.authorized`) and destroys the socket,
 * and then neither certificate nor cause can be had. Here the socket is destroyed on that verdict at the same
 * moment, before a byte of it is read; only the certificate is taken aside first, for the diagnosis. A
 * connection that the runtime accepts has to pass the application's own check as well (`admitPeer`), which
 * revoked certificates and sessions resumed from elsewhere do not. The canaries prove all that at each start.
 */

import { BlockList, type Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { CodedError } from "shared/base/errors.ts";
import "./errors.ts";
import type { Http1Answer } from "./http1/answer.ts";
import {
  type ByteFault,
  type ConnectionTimes,
  Http1Connection,
  Http1Connections,
  type MessageReader,
} from "./http1/connection.ts";
import type { Http1Request } from "./http1/request.ts";
import { presentedChain } from "./peer_certificate.ts";
import { NamedPeers, type Preface, readPreface } from "./preface.ts";
import { Roster } from "./roster.ts";

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

/** Why a message is refused that never became a request: too slow, ended in its middle, or what the reading found. */
export type MalformedCause = "timeout" | "malformed" | ByteFault;

/** Decisions that the listener asks for. `H` is a head as the reader of the connection makes it. */
export interface ListenerCallbacks<P, H> {
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
  /** A reader for a new connection. */
  reader(): MessageReader<H>;
  /** A request on a connection whose peer was admitted. `wantsContinue`: the client waits for 100 (Continue). */
  request(
    incoming: Http1Request,
    outgoing: Http1Answer,
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
export interface ListenerBounds extends ConnectionTimes {
  readonly handshakeTimeoutMs: number;
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

/** How often connections are looked for that are past the time of a phase. */
const SWEEP_MS = 500;

const tlsOptions = (secrets: ListenerSecrets) => ({
  cert: secrets.certificate,
  key: secrets.key,
  ca: [...secrets.clientAuthorities],
  minVersion: secrets.minVersion,
  maxVersion: "TLSv1.3" as const,
});

/**
 * Refuses connections by address before the runtime makes a socket of them, with streams and listeners, for a flood's connections
 * too. The runtime asks with each connection (`blockList` of `node:net`), and at once hands over what is not refused.
 */
class Door extends BlockList {
  readonly #callbacks: Pick<ListenerCallbacks<unknown, unknown>, "preface" | "admitAddress">;
  #entering: Entering | undefined;

  constructor(callbacks: Pick<ListenerCallbacks<unknown, unknown>, "preface" | "admitAddress">) {
    super();
    this.#callbacks = callbacks;
  }

  /** Whether a connection is refused. Behind a proxy that names its clients the decision comes when it has named one. */
  override check(address: unknown): boolean {
    const remote = String(address);
    const preface = this.#callbacks.preface?.(remote);
    const isRefused = preface === "refuse" || preface === undefined && !this.#callbacks.admitAddress(remote);
    this.#entering = isRefused ? undefined : { remote, preface };
    return isRefused;
  }

  /** Who comes in now; undefined when nobody was asked about, because the other end is gone already. */
  take(): Entering | undefined {
    const entering = this.#entering;
    this.#entering = undefined;
    return entering;
  }
}

/** A connection that was not refused; with a preface it is not admitted yet. */
interface Entering {
  readonly remote: string;
  readonly preface: Preface | undefined;
}

/** Opens the listener. @throws {CodedError} `GATEWAY_LISTEN` when the address cannot be had. */
export async function openListener<P, H>(
  address: { readonly host: string; readonly port: number },
  secrets: ListenerSecrets,
  bounds: ListenerBounds,
  callbacks: ListenerCallbacks<P, H>,
): Promise<Listener<P>> {
  const sockets = new Roster<{ readonly socket: Socket; readonly remote: string }>();
  const named = new NamedPeers();
  const admitted = new Roster<{ readonly socket: TLSSocket; readonly peer: P }>();
  const connections = new Http1Connections(SWEEP_MS);
  const door = new Door(callbacks);
  const server: Server = createServer({
    ...tlsOptions(secrets),
    blockList: door,
    requestCert: true,
    rejectUnauthorized: false, // see the top of this file
    // curl --http1.0 offers nothing but the second, and would fail its handshake.
    ALPNProtocols: ["http/1.1", "http/1.0"],
    handshakeTimeout: bounds.handshakeTimeoutMs,
    // Else the runtime would end a connection before its last answer.
    allowHalfOpen: true,
  });

  // In front of the runtime's own listener, which begins TLS.
  const beginTls = server.listeners("connection");
  server.removeAllListeners("connection");
  const enter = (socket: Socket, remote: string) => {
    const seat = sockets.add({ socket, remote });
    socket.once("close", () => {
      sockets.leave(seat);
      callbacks.connectionEnded(remote);
    });
    for (const begin of beginTls) begin.call(server, socket);
  };
  server.on("connection", (socket: Socket) => {
    const entering = door.take();
    if (entering === undefined) return void socket.destroy();
    const { remote, preface } = entering;
    if (preface === undefined) return void enter(socket, remote);
    const seat = sockets.add({ socket, remote });
    socket.once("close", () => sockets.leave(seat));
    readPreface(socket, preface, bounds.handshakeTimeoutMs).then((read) => {
      if (read === undefined) return void callbacks.handshakeFailed("PROXY_HEADER", remote);
      sockets.leave(seat);
      const address = read.address ?? remote;
      if (!callbacks.admitAddress(address)) return void socket.destroy();
      enter(socket, named.add(socket, address));
    });
  });

  server.on("secureConnection", (socket: TLSSocket) => {
    // A connection may break at any moment; what that means is decided where the answer is written.
    socket.on("error", () => socket.destroy());
    const facts: PeerFacts = {
      chain: presentedChain(socket),
      authorized: socket.authorized,
      resumed: socket.isSessionReused(),
      protocol: socket.getProtocol() ?? "",
      address: named.addressOf(socket),
      port: socket.remotePort ?? 0,
    };
    if (!facts.authorized) socket.destroy();
    // Nothing is read before the answer is there.
    callbacks.admitPeer(facts).catch(() => undefined).then((peer) => {
      if (peer === undefined || !facts.authorized) return void socket.destroy();
      if (socket.destroyed) return;
      const seat = admitted.add({ socket, peer });
      socket.once("close", () => admitted.leave(seat));
      serve(socket, peer, facts.address);
    });
  });

  const serve = (socket: TLSSocket, peer: P, remote: string) => {
    const connection = new Http1Connection<H>(socket, callbacks.reader(), bounds, {
      request: (incoming, outgoing, { head, wantsContinue }) =>
        callbacks.request(incoming, outgoing, peer, wantsContinue, head),
      refused: (cause) => {
        if (socket.writable) callbacks.malformed(socket, cause, remote, peer);
        else socket.destroy();
      },
    });
    connections.add(connection);
  };
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const remote = named.addressOf(socket); // a destroyed socket does not know it any more
    socket.destroy();
    callbacks.handshakeFailed(error.code ?? "HANDSHAKE_TIMEOUT", remote);
  });

  const closed = () => new Promise<void>((resolve) => server.once("close", () => resolve()));
  const stopAccepting = () => void server.close();
  const destroyAll = () => {
    for (const { socket } of sockets.members()) socket.destroy();
  };
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
      destroyAll();
      await left;
      ended = closed();
      await listen({ fd }, `the handed socket ${fd}`);
      port = boundPort();
    },
    stopAccepting,
    renew: (next) => server.setSecureContext(tlsOptions(next)),
    recheck: async (keep) => {
      // One after the other: ten thousand verifications at once would keep requests waiting.
      for (const { socket, peer } of admitted.members()) {
        if (!socket.destroyed && !await keep(peer)) socket.destroy();
      }
    },
    closeIdle: () => connections.closeIdle(),
    recheckAddresses: (keep) => {
      for (const { socket, remote } of sockets.members()) if (!keep(remote)) socket.destroy();
    },
    destroyAll,
  };
}
