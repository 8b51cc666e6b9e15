/**
 * An upstream instance over pooled connections, one request at a time on each, mutual TLS. A request is sent once: whether it may be
 * sent again is decided elsewhere (domain/retry.ts).
 */

import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls, type PeerCertificate } from "node:tls";
import {
  SERVER_IDENTITY_CODE,
  type UpstreamAnswer,
  type UpstreamClient,
  type UpstreamOptions,
  type UpstreamRequest,
  type UpstreamTls,
} from "../upstream_client.ts";
import { DEADLINES } from "../deadlines.ts";
import { UpstreamConnection } from "./upstream_connection.ts";

/** Requests that wait for a connection; more are refused at once. */
export const MAX_WAITING = 10_000;

interface Waiting {
  readonly request: UpstreamRequest;
  readonly begin: (connection: UpstreamConnection) => void;
  /** There is no connection to be had. */
  readonly fail: (code: string) => void;
}

/** Makes the client of an instance. */
export function upstreamClient(options: UpstreamOptions): UpstreamClient {
  const { url, tls } = options;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  const dial = (): Socket =>
    url.protocol === "https:"
      ? connectTls({
        host,
        port,
        minVersion: "TLSv1.2",
        ALPNProtocols: ["http/1.1"],
        ...(tls === undefined ? {} : {
          ca: [...tls.authorities],
          cert: tls.certificate,
          key: tls.key,
          checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
            identityFault(certificate, tls),
        }),
      })
      : connectPlain({ host, port, noDelay: true });
  const pool = new ConnectionPool(options, dial);
  return {
    url,
    host: url.host,
    send: (request) => pool.send(request),
    close: () => pool.close(),
  };
}

class ConnectionPool {
  /** The last one that was used comes first: the others can end of old age. */
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new Set<UpstreamConnection>();
  readonly #waiting = new Set<Waiting>();
  #sweep: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  constructor(readonly options: UpstreamOptions, readonly dial: () => Socket) {}

  send(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const free = this.#idle.pop();
    if (free !== undefined) return free.send(request);
    return new Promise((resolve) => {
      const { signal } = request;
      const settle = (answer: UpstreamAnswer) => {
        DEADLINES.clear(late);
        signal.removeEventListener("abort", aborted);
        this.#waiting.delete(waiting);
        resolve(answer);
      };
      const give = (code: string) => {
        settle({ kind: "failed", sent: false, code });
        opened?.destroy();
      };
      let opened: UpstreamConnection | undefined;
      const begin = (connection: UpstreamConnection) => {
        DEADLINES.clear(late);
        signal.removeEventListener("abort", aborted);
        this.#waiting.delete(waiting);
        connection.send(request).then(resolve);
      };
      const waiting: Waiting = { request, begin, fail: give };
      const aborted = () => give("ABORTED");
      const late = DEADLINES.set(this.options.connectTimeoutMs, () => give("CONNECT_TIMEOUT"));
      if (signal.aborted || this.#closed) return give("ABORTED");
      signal.addEventListener("abort", aborted);
      if (this.#all.size < this.options.maxSockets) opened = this.#open(begin, give);
      else if (this.#waiting.size >= MAX_WAITING) give("POOL_FULL");
      else this.#waiting.add(waiting);
    });
  }

  #open(begin: (connection: UpstreamConnection) => void, failed: (code: string) => void): UpstreamConnection {
    const connection = new UpstreamConnection(this.dial(), {
      ready: (own) => begin(own),
      failed,
      sent: (bytes) => this.options.onSent?.(bytes),
      free: (own) => this.#free(own),
      closed: (own) => this.#gone(own),
    });
    this.#all.add(connection);
    return connection;
  }

  #free(connection: UpstreamConnection): void {
    if (this.#closed) return connection.destroy();
    const [next] = this.#waiting;
    if (next !== undefined) return next.begin(connection);
    connection.idleSince = performance.now();
    this.#idle.push(connection);
    this.#sweep ??= setInterval(() => this.#sweepIdle(), Math.max(50, this.options.idleTimeoutMs / 4));
  }

  #sweepIdle(): void {
    const until = performance.now() - this.options.idleTimeoutMs;
    for (const connection of [...this.#idle]) if (connection.idleSince < until) connection.destroy();
    if (this.#all.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #gone(connection: UpstreamConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    const [next] = this.#waiting;
    if (next === undefined || this.#closed) return;
    // A place is free. Each connection that fails is the failure of one who waits: else it would be tried without end.
    this.#open((own) => this.#free(own), (code) => [...this.#waiting][0]?.fail(code));
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    for (const connection of this.#all) connection.destroy();
  }
}

function identityFault(certificate: PeerCertificate, tls: UpstreamTls): Error | undefined {
  if (tls.acceptsServer(new Uint8Array(certificate.raw))) return undefined;
  return Object.assign(new Error("the server is another one"), { code: SERVER_IDENTITY_CODE });
}
