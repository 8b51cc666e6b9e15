/**
 * One upstream instance: pooled keep-alive connections with bounds, mutual TLS, one request at a time and its fate. Small
 * answers come whole; others stream, as fast as the client takes them.
 */

import { Buffer } from "node:buffer";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type PeerCertificate, type TLSSocket } from "node:tls";
import type { Cancel } from "./cancellation.ts";
import { Deadlines } from "./deadlines.ts";
import type { RequestBody } from "./request_body.ts";
import type { UpstreamBody } from "./upstream/answer_body.ts";
import { UpstreamConnection } from "./upstream/connection.ts";
import { exchange } from "./upstream/exchange.ts";

/** Key material for mutual TLS, PEM. */
export interface UpstreamTls {
  readonly authorities: readonly string[];
  readonly certificate: string;
  readonly key: string;
  /** Decides on the server's certificate (DER), instead of on its DNS name. */
  readonly acceptsServer: (certificate: Uint8Array) => boolean;
}

/** How to reach an instance. */
export interface UpstreamOptions {
  /** `https://host:port` or `http://host:port`. */
  readonly url: URL;
  /** Undefined for plain HTTP. */
  readonly tls: UpstreamTls | undefined;
  readonly maxSockets: number;
  /** Most requests that wait for a connection; beyond it they are refused at once. */
  readonly maxWaiting: number;
  /** Longest wait for a connection, free or new. */
  readonly connectTimeoutMs: number;
  /** Idle connections are closed before this; keep it below the upstream's own keep-alive timeout. */
  readonly idleTimeoutMs: number;
  /** Told of the bytes of requests as they are written, before encryption. */
  readonly sent?: (bytes: number) => void;
}

/** A request to send. */
export interface UpstreamRequest {
  readonly method: string;
  readonly target: string;
  /** Name, value, name, value. */
  readonly headers: readonly string[];
  /** Whole, or streaming from the client. */
  readonly body: RequestBody;
  /** Aborts the request: deadline, or the client is gone. */
  readonly signal: Cancel;
}

/** An answer; headers as sent: name, value, name, value. */
export interface UpstreamAnswered {
  readonly kind: "answer";
  readonly status: number;
  readonly rawHeaders: readonly string[];
  readonly body: Uint8Array | UpstreamBody;
}

/** The fate of a request. `sent`: whether any of it may have reached the instance. */
export type UpstreamAnswer =
  | UpstreamAnswered
  | { readonly kind: "failed"; readonly sent: boolean; readonly code: string };

/** An instance. */
export interface UpstreamClient {
  readonly url: URL;
  /** Host and port, as Host names it. */
  readonly host: string;
  send(request: UpstreamRequest): Promise<UpstreamAnswer>;
  /** Closes idle connections, and refuses new requests. */
  close(): void;
}

/** Code of a failure whose server certificate does not name the expected identity. */
export const SERVER_IDENTITY_CODE = "UPSTREAM_IDENTITY";
/** Code of a request that found too many waiting for a connection. */
export const BUSY_CODE = "UPSTREAM_BUSY";

/** Looks at an idle connection until it is closed, within its timeout: after three to four quarters of it. */
const IDLE_LOOKS = 4;
/** What is read of an answer at once: as much as a TLS record holds, bytes. */
const READ_BYTES = 16_384;

interface Waiter {
  /** Gives it a connection, or says why there is none. Once. */
  readonly settle: (outcome: UpstreamConnection | string) => void;
}

/** Makes the client of an instance. */
export function upstreamClient(options: UpstreamOptions): UpstreamClient {
  return new PooledClient(options);
}

class PooledClient implements UpstreamClient {
  readonly url: URL;
  readonly host: string;
  /** Connections that nobody uses; the one that was used last stands last, and is used next. */
  readonly #idle: { readonly connection: UpstreamConnection; looks: number }[] = [];
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whoever waits longest stands first. */
  readonly #waiting: Waiter[] = [];
  readonly #deadlines = new Deadlines(() => performance.now());
  #open = 0;
  #connecting = 0;
  #closed = false;

  constructor(readonly options: UpstreamOptions) {
    this.url = options.url;
    this.host = options.url.host;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#idleTimer);
    for (const { connection } of this.#idle.splice(0)) connection.cut("CLOSED");
    for (const waiter of [...this.#waiting]) waiter.settle("CLOSED");
    this.#deadlines.close();
  }

  send(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const free = this.#idle.pop();
    return free === undefined ? this.#sendLater(request) : exchange(free.connection, request);
  }

  async #sendLater(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const connection = await this.#acquire(request.signal);
    if (typeof connection === "string") return { kind: "failed", sent: false, code: connection };
    return await exchange(connection, request);
  }

  /** Waits for a connection of our own or one that becomes free, whichever comes first. */
  #acquire(signal: Cancel): Promise<UpstreamConnection | string> {
    if (this.#closed) return Promise.resolve("CLOSED");
    // Those for whom a connection is on its way do not wait for one of the others.
    const queued = this.#waiting.length - this.#connecting;
    if (this.#open >= this.options.maxSockets && queued >= this.options.maxWaiting) {
      return Promise.resolve(BUSY_CODE);
    }
    return new Promise((resolve) => {
      const waiter: Waiter = {
        settle: (outcome) => {
          const place = this.#waiting.indexOf(waiter);
          if (place < 0) return;
          this.#waiting.splice(place, 1);
          this.#deadlines.clear(deadline);
          signal.removeEventListener("abort", abort);
          resolve(outcome);
        },
      };
      const abort = () => waiter.settle("ABORTED");
      if (signal.aborted) return resolve("ABORTED");
      const until = performance.now() + this.options.connectTimeoutMs;
      const deadline = this.#deadlines.set(until, () => waiter.settle("CONNECT_TIMEOUT"));
      this.#waiting.push(waiter);
      signal.addEventListener("abort", abort);
      if (this.#open < this.options.maxSockets) this.#connect();
    });
  }

  /** Opens one more connection for whoever waits longest. */
  #connect(): void {
    this.#open++;
    this.#connecting++;
    const { url, tls, connectTimeoutMs } = this.options;
    const secure = url.protocol === "https:";
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const port = Number(url.port || (secure ? 443 : 80));
    let socket: Socket | TLSSocket;
    let settled = false;
    const failed = (code: string) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket?.destroy();
      this.#open--;
      this.#connecting--;
      // The wait of one is over; the others get a connection of their own, or fail in the same way.
      this.#waiting[0]?.settle(code);
      if (this.#waiting.length > 0 && this.#open === 0 && !this.#closed) this.#connect();
    };
    const timer = setTimeout(
      () => socket.destroy(Object.assign(new Error(), { code: "CONNECT_TIMEOUT" })),
      connectTimeoutMs,
    );
    let connection: UpstreamConnection | undefined;
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    // Into one buffer, past the runtime's streams: without it each read makes a buffer, and a turn through a queue.
    const onread = {
      buffer,
      callback: (length: number) => {
        connection?.take(buffer.subarray(0, length));
        return true;
      },
    };
    try {
      const to = { host, port, onread };
      socket = secure ? connectTls({ ...to, ...tlsOptions(tls) }) : connectTcp(to);
    } catch (error) {
      return failed((error as NodeJS.ErrnoException).code ?? "ERROR");
    }
    const onError = (error: NodeJS.ErrnoException) => failed(error.code ?? error.name);
    socket.once("error", onError);
    socket.once("close", () => failed("CLOSED"));
    socket.once(secure ? "secureConnect" : "connect", () => {
      settled = true;
      clearTimeout(timer);
      socket.off("error", onError);
      this.#connecting--;
      let gone = false;
      const made = connection = new UpstreamConnection(socket, (usable) => {
        if (usable && !this.#closed) return this.#give(made);
        if (gone) return;
        gone = true;
        this.#open--;
        const at = this.#idle.findIndex((idle) => idle.connection === made);
        if (at >= 0) this.#idle.splice(at, 1);
        if (usable) made.cut("CLOSED");
        else if (this.#waiting.length > 0 && this.#open < this.options.maxSockets && !this.#closed) {
          this.#connect();
        }
      }, this.options.sent);
      this.#give(made);
    });
  }

  #give(connection: UpstreamConnection): void {
    const first = this.#waiting[0];
    if (first !== undefined) return first.settle(connection);
    this.#idle.push({ connection, looks: 0 });
    this.#idleTimer ??= this.#watchIdle();
  }

  /** One timer for all of them: a timeout of each socket would be set again with each read and each write. */
  #watchIdle(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      for (const idle of [...this.#idle]) if (++idle.looks === IDLE_LOOKS) idle.connection.cut("IDLE");
      this.#idleTimer = this.#idle.length > 0 ? this.#watchIdle() : undefined;
    }, this.options.idleTimeoutMs / IDLE_LOOKS);
    Deno.unrefTimer(Number(timer));
    return timer;
  }
}

function tlsOptions(tls: UpstreamTls | undefined) {
  return {
    minVersion: "TLSv1.2" as const,
    ...(tls === undefined ? {} : {
      ca: [...tls.authorities],
      cert: tls.certificate,
      key: tls.key,
      checkServerIdentity: (_host: string, certificate: PeerCertificate) => identityFault(certificate, tls),
    }),
  };
}

function identityFault(certificate: PeerCertificate, tls: UpstreamTls): Error | undefined {
  if (tls.acceptsServer(new Uint8Array(certificate.raw))) return undefined;
  return Object.assign(new Error("the server is another one"), { code: SERVER_IDENTITY_CODE });
}
