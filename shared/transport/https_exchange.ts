/**
 * HTTPS with a client certificate: one request, one whole answer, connections kept between requests.
 *
 * node:https and not fetch: fetch was measured 1 to 2 ms faster for a request of ours, but its `caCerts` add to the public
 * authorities of the runtime, and only our own authority may speak for a gateway.
 */

import { Agent, request as httpsRequest } from "node:https";
import { Buffer } from "node:buffer";

/** Longest wait for one answer, in milliseconds. */
export const ANSWER_TIMEOUT_MS = 8_000;
/** Longest answer, in bytes. The longest of ours has about 3,000. */
export const ANSWER_MAX_BYTES = 64 * 1024;
/** Connections kept to each server. */
const CONNECTIONS_MAX = 16;

/** What is sent. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Longest answer that is taken, in bytes; {@link ANSWER_MAX_BYTES} unless told otherwise. */
  readonly answerMaxBytes?: number;
}

/** What came back. */
export interface HttpAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** The server's clock (RFC 9110, 6.6.1), where it tells it. */
  readonly date: string | undefined;
  readonly body: Uint8Array;
}

/** A kept connection broke before it brought an answer: the server closed it while it was idle, or is gone. */
export class StaleConnection extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

/** The connections of one client certificate. */
export class HttpsExchange {
  readonly #agent: Agent;

  /** PEM texts: the only authorities that are believed, our certificate and its key. Nothing is connected yet. */
  constructor(tls: { readonly ca: string; readonly cert: string; readonly key: string }) {
    this.#agent = new Agent({
      ...tls,
      keepAlive: true,
      maxSockets: CONNECTIONS_MAX,
      maxFreeSockets: CONNECTIONS_MAX,
      scheduling: "lifo",
      noDelay: true,
      minVersion: "TLSv1.2",
    });
  }

  /** Sends a request. @throws {StaleConnection} and other errors whose message says why, in words for people. */
  send(server: URL, { method, path, headers, body, answerMaxBytes }: HttpRequest): Promise<HttpAnswer> {
    return new Promise<HttpAnswer>((resolve, reject) => {
      const outgoing = httpsRequest({
        agent: this.#agent,
        protocol: "https:",
        hostname: server.hostname,
        port: server.port || 443,
        method,
        path,
        headers: { ...headers, ...(body === undefined ? {} : { "content-length": body.length }) },
        timeout: ANSWER_TIMEOUT_MS,
      }, (incoming) => {
        const chunks: Uint8Array[] = [];
        let size = 0;
        incoming.on("data", (chunk: Uint8Array) => {
          size += chunk.length;
          if (size > (answerMaxBytes ?? ANSWER_MAX_BYTES)) fail(new Error("its answer is too long"));
          else chunks.push(chunk);
        });
        incoming.on("end", () => {
          clearTimeout(deadline);
          resolve({
            status: incoming.statusCode ?? 0,
            retryAfter: incoming.headers["retry-after"],
            date: incoming.headers.date,
            body: Buffer.concat(chunks),
          });
        });
        incoming.on("error", fail);
        incoming.on("aborted", () => fail(new Error("it closed the connection")));
      });
      // The socket's timeout starts anew with every byte; this one does not.
      const deadline = setTimeout(() => fail(new Error("it does not answer")), ANSWER_TIMEOUT_MS);
      const fail = (error: Error) => {
        clearTimeout(deadline);
        reject(new Error(reasonOf(error), { cause: error }));
        // Without an error of its own: this runtime throws that one at the process when a body is being read.
        outgoing.destroy();
      };
      let reused = false;
      outgoing.once("socket", () => {
        reused = outgoing.reusedSocket;
        // QUIRK(deno 2.9.6): a request on a reused connection that is lost or destroyed is sent again by the runtime, with
        // the same signature and nonce (denoland/deno#36786). Whether to send again is the caller's decision.
        outgoing.reusedSocket = false;
      });
      outgoing.on("error", (error) => {
        clearTimeout(deadline);
        const named = new Error(reasonOf(error), { cause: error });
        reject(reused ? new StaleConnection(named) : named);
      });
      outgoing.on("timeout", () => fail(new Error("it does not answer")));
      outgoing.end(body);
    });
  }

  /** Closes the connections. */
  close(): void {
    this.#agent.destroy();
  }
}

function reasonOf(error: Error): string {
  const { code } = error as { code?: string };
  return code === "ECONNREFUSED" ? "nobody listens there" : error.message || code || "the connection failed";
}
