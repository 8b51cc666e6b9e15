/**
 * A load generator that counts every lost request. Each connection has a client certificate that no other open connection
 * has. It writes bytes on TLS sockets itself: an HTTP client would send lost requests again and hide them.
 */

import { connect, type TLSSocket } from "node:tls";
import { issue, type Issued } from "shared/protocol/x509/certificate.ts";
import { testPki } from "tests/environment/gateway.ts";

/** How one client behaves. */
interface Habit {
  /** Requests on a connection before the client opens a fresh one. */
  readonly requestsPerConnection: number;
  /** Pause before each request, milliseconds. */
  readonly thinkMs: number;
}

/** Keep-alive for ever, a fresh connection each time, a few requests each, and slow ones whose connections are mostly idle. */
const HABITS: readonly Habit[] = [
  { requestsPerConnection: Infinity, thinkMs: 0 },
  { requestsPerConnection: 1, thinkMs: 0 },
  { requestsPerConnection: Infinity, thinkMs: 0 },
  { requestsPerConnection: 10, thinkMs: 0 },
  { requestsPerConnection: Infinity, thinkMs: 40 },
];

/** What the load saw. */
export interface LoadResult {
  readonly requests: number;
  readonly answered: number;
  /** Requests without their whole, right answer, and clients that could connect nowhere. */
  readonly failed: number;
  /** Kinds of failure with their counts. */
  readonly faults: Readonly<Record<string, number>>;
  readonly connections: number;
  /** Connections that one gateway did not take and another did: nothing of a request had been sent. */
  readonly moved: number;
  readonly seconds: number;
  readonly p99Ms: number;
  /** Longest request, connecting included. */
  readonly maxMs: number;
}

/** What to run. */
export interface LoadOptions {
  readonly ports: readonly number[];
  readonly clients: number;
  readonly requests: number;
  /** Called with the number of requests that were begun. */
  readonly at?: (begun: number) => void;
  /** The load goes on beyond `requests` until this is true. */
  readonly enough?: () => boolean;
}

/** Runs the load. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const pki = await testPki();
  const now = Date.now();
  // Twice as many certificates as clients: a fresh connection never has that of the one before it.
  const certificates = await Promise.all(
    Array.from(
      { length: options.clients * 2 },
      (_, i) =>
        issue(pki.clients, { now, commonName: `load ${i}`, uris: [`urn:recovery-key:station:load-${i}`] }),
    ),
  );
  const count = { begun: 0, answered: 0, failed: 0, connections: 0, moved: 0 };
  const faults: Record<string, number> = {};
  const times: number[] = [];
  const began = performance.now();
  const client = async (index: number) => {
    const habit = HABITS[index % HABITS.length]!;
    let connection: Connection | undefined;
    let port = index;
    let fresh = 0;
    while (count.begun < options.requests || options.enough?.() === false) {
      options.at?.(++count.begun);
      if (habit.thinkMs > 0) await new Promise((resolve) => setTimeout(resolve, habit.thinkMs));
      const start = performance.now();
      let fault: string | undefined;
      for (let tried = 0; connection === undefined || !connection.usable; tried++) {
        const certificate = certificates[index * 2 + fresh++ % 2]!;
        const opened = await open(
          options.ports[port % options.ports.length]!,
          certificate,
          pki.servers.certificatePem,
        );
        if (typeof opened !== "string") {
          connection = opened;
          count.connections++;
        } else if (tried + 1 < options.ports.length) {
          port++;
          count.moved++;
        } else {
          fault = `connect: ${opened}`;
          break;
        }
      }
      if (fault === undefined) fault = await connection!.request(`${index}-${count.begun}`);
      if (fault === undefined) count.answered++;
      else {
        count.failed++;
        faults[fault] = (faults[fault] ?? 0) + 1;
      }
      times.push(performance.now() - start);
      if (connection !== undefined && connection.requests >= habit.requestsPerConnection) {
        connection.close();
        connection = undefined;
        port++;
      }
    }
    connection?.close();
  };
  await Promise.all(Array.from({ length: options.clients }, (_, index) => client(index)));
  times.sort((a, b) => a - b);
  const { begun: requests, ...rest } = count;
  return {
    requests,
    ...rest,
    faults,
    seconds: (performance.now() - began) / 1000,
    p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
    maxMs: times.at(-1) ?? 0,
  };
}

/** Longest wait for a connection or an answer, milliseconds: beyond it the request is lost. */
const LOST_MS = 60_000;

/** One TLS connection with one request at a time. */
class Connection {
  usable = true;
  requests = 0;
  #text = "";
  #changed: () => void = () => {};

  constructor(readonly socket: TLSSocket) {
    const decoder = new TextDecoder("latin1");
    socket.on("data", (part: Uint8Array) => {
      this.#text += decoder.decode(part);
      this.#changed();
    });
    const ended = () => {
      this.usable = false;
      this.#changed();
    };
    socket.on("end", ended).on("close", ended).on("error", ended);
  }

  /** Sends one request; undefined when its answer came whole and is its own, else what was wrong. */
  async request(id: string): Promise<string | undefined> {
    this.requests++;
    this.#text = "";
    const body = JSON.stringify({ id });
    this.socket.write(
      `POST /things/1 HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const late = performance.now() + LOST_MS;
    while (true) {
      const headEnd = this.#text.indexOf("\r\n\r\n");
      if (headEnd >= 0) {
        const head = this.#text.slice(0, headEnd).toLowerCase();
        const length = Number(/content-length: (\d+)/.exec(head)?.[1] ?? NaN);
        if (Number.isNaN(length)) return this.#broken("answer without a length");
        if (this.#text.length >= headEnd + 4 + length) {
          if (/connection: close/.test(head)) this.close();
          if (!head.startsWith("http/1.1 200")) return `status ${head.slice(9, 12)}`;
          return this.#text.includes(`\\"id\\":\\"${id}\\"`) ? undefined : "answer of another request";
        }
      }
      if (!this.usable) return this.#text === "" ? "closed without an answer" : "closed within an answer";
      if (performance.now() > late) return this.#broken("no answer");
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        timer = setTimeout(resolve, LOST_MS);
      });
      clearTimeout(timer);
    }
  }

  #broken(why: string): string {
    this.close();
    return why;
  }

  close(): void {
    this.usable = false;
    this.socket.destroy();
  }
}

/** Opens a connection, or says why not. */
function open(port: number, as: Issued, ca: string): Promise<Connection | string> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, ca, cert: as.certificatePem, key: as.privateKeyPem });
    const timer = setTimeout(() => {
      socket.destroy();
      resolve("timeout");
    }, LOST_MS);
    socket.once("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve(error.code ?? error.message);
    });
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      resolve(new Connection(socket));
    });
  });
}
