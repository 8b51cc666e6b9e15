/** HTTP of a log to its witnesses and of a mirror to a log: kept-alive connections, client certificates, bounds. */

import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { CodedError, defineErrors } from "../../base/errors.ts";

/** PEM texts of a connection's own certificate and of the authority that is trusted. */
export interface ClientTls {
  /** Authority of the server; without it those of the system count. */
  readonly authority?: string;
  readonly certificate?: string;
  readonly key?: string;
}

/** A request. */
export interface HttpRequest {
  readonly url: string;
  /** With a body it is a POST, without a GET. */
  readonly body?: Uint8Array;
  /** For the whole exchange, in milliseconds. */
  readonly deadlineMs: number;
  /** Longest answer in bytes. */
  readonly bytesMax: number;
}

/** An answer, read whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** A client with its connections. */
export interface HttpClient {
  /** @throws {CodedError} `WITNESS_UNREACHABLE`. */
  request(request: HttpRequest): Promise<HttpAnswer>;
  /** Closes idle connections. */
  close(): void;
}

const CONNECTIONS_MAX = 4;

/** Makes a client. */
export function httpClient(tls: ClientTls = {}): HttpClient {
  const agents = {
    "http:": new HttpAgent({ keepAlive: true, maxSockets: CONNECTIONS_MAX }),
    "https:": new HttpsAgent({
      keepAlive: true,
      maxSockets: CONNECTIONS_MAX,
      minVersion: "TLSv1.2",
      ...(tls.authority === undefined ? {} : { ca: tls.authority }),
      ...(tls.certificate === undefined ? {} : { cert: tls.certificate, key: tls.key }),
    }),
  };
  return {
    async request({ url, body, deadlineMs, bytesMax }) {
      const { protocol } = new URL(url);
      if (protocol !== "http:" && protocol !== "https:") throw unreachable(url, "neither http nor https");
      const send = protocol === "https:" ? httpsRequest : httpRequest;
      try {
        return await new Promise<HttpAnswer>((resolve, reject) => {
          const outgoing = send(url, {
            method: body === undefined ? "GET" : "POST",
            agent: agents[protocol],
            signal: AbortSignal.timeout(deadlineMs),
            ...(body === undefined ? {} : {
              headers: { "content-type": "text/plain; charset=utf-8", "content-length": body.length },
            }),
          }, (incoming) => readAll(incoming, bytesMax).then(resolve, reject));
          outgoing.on("error", reject);
          outgoing.end(body);
        });
      } catch (error) {
        throw unreachable(url, error instanceof Error ? error.message : String(error));
      }
    },
    close: () => Object.values(agents).forEach((agent) => agent.destroy()),
  };
}

async function readAll(incoming: IncomingMessage, bytesMax: number): Promise<HttpAnswer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const part of incoming as AsyncIterable<Uint8Array<ArrayBuffer>>) {
    length += part.length;
    if (length > bytesMax) {
      incoming.destroy();
      throw new Error(`the answer is over ${bytesMax} bytes`);
    }
    parts.push(part);
  }
  return {
    status: incoming.statusCode ?? 0,
    contentType: incoming.headers["content-type"] ?? "",
    body: new Uint8Array(await new Blob(parts).arrayBuffer()),
  };
}

function unreachable(url: string, why: string): CodedError {
  return new CodedError("WITNESS_UNREACHABLE", `Cannot reach ${new URL(url).host}: ${why}`);
}

defineErrors({
  WITNESS_UNREACHABLE: {
    fault: "peer",
    retry: true,
    http: 503,
    next: "Check the address and the certificates, and whether the other side runs.",
  },
});
