/** One upstream instance: pooled keep-alive connections, mutual TLS, one request at a time and its fate. */

import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { PeerCertificate } from "node:tls";

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
  readonly connectTimeoutMs: number;
  /** Idle connections are closed after this; keep it below the upstream's own keep-alive timeout. */
  readonly idleTimeoutMs: number;
}

/** A request to send. */
export interface UpstreamRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Record<string, string | string[]>;
  readonly body: Uint8Array | undefined;
  /** Aborts the request: deadline, or the client is gone. */
  readonly signal: AbortSignal;
}

/** The fate of a request. `sent`: whether any of it may have reached the instance. */
export type UpstreamAnswer =
  | { readonly kind: "answer"; readonly status: number; readonly message: IncomingMessage }
  | { readonly kind: "failed"; readonly sent: boolean; readonly code: string };

/** An instance. */
export interface UpstreamClient {
  readonly url: URL;
  /** Host and port, as Host names it. */
  readonly host: string;
  send(request: UpstreamRequest): Promise<UpstreamAnswer>;
  close(): void;
}

/** Code of a failure whose server certificate does not name the expected identity. */
export const SERVER_IDENTITY_CODE = "UPSTREAM_IDENTITY";

/** Makes the client of an instance. */
export function upstreamClient(options: UpstreamOptions): UpstreamClient {
  const { url, tls } = options;
  const secure = url.protocol === "https:";
  const pool = {
    keepAlive: true,
    maxSockets: options.maxSockets,
    maxFreeSockets: options.maxSockets,
    timeout: options.idleTimeoutMs,
    scheduling: "lifo" as const,
  };
  const agent = secure
    ? new https.Agent({
      ...pool,
      minVersion: "TLSv1.2",
      ...(tls === undefined ? {} : {
        ca: [...tls.authorities],
        cert: tls.certificate,
        key: tls.key,
        checkServerIdentity: (_host: string, certificate: PeerCertificate) => identityFault(certificate, tls),
      }),
    })
    : new http.Agent(pool);
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || (secure ? 443 : 80));

  return {
    url,
    host: url.host,
    close: () => agent.destroy(),
    send: ({ method, target, headers, body, signal }) =>
      new Promise((resolve) => {
        // Until the connection stands nothing can have left; from then on the runtime writes.
        let sent = false;
        const make = secure ? https.request : http.request;
        const request = make({ agent, hostname, port, method, path: target, headers });
        const settle = (answer: UpstreamAnswer) => {
          clearTimeout(connecting);
          if (answer.kind === "failed") signal.removeEventListener("abort", abort);
          resolve(answer);
        };
        const give = (code: string) => {
          settle({ kind: "failed", sent, code });
          request.destroy(Object.assign(new Error(code), { code }));
        };
        let answered: IncomingMessage | undefined;
        const abort = () => {
          give("ABORTED");
          answered?.destroy(new Error("ABORTED"));
        };
        const connecting = setTimeout(() => sent || give("CONNECT_TIMEOUT"), options.connectTimeoutMs);
        const connected = () => {
          sent = true;
          clearTimeout(connecting);
        };
        request.once("socket", (socket) => {
          const reused = request.reusedSocket;
          // QUIRK(deno 2.9.6): a request on a reused connection that is lost or destroyed, even by its deadline, is sent
          // again by the runtime, a POST too (denoland/deno#36786). Whether to send again is our decision (domain/retry.ts).
          request.reusedSocket = false;
          if (reused) return connected();
          socket.once(secure ? "secureConnect" : "connect", connected);
        });
        request.once("response", (message) => {
          connected();
          answered = message;
          // The abort goes on to count while the answer's body arrives.
          message.once("close", () => signal.removeEventListener("abort", abort));
          settle({ kind: "answer", status: message.statusCode ?? 502, message });
        });
        request.on("error", (error: NodeJS.ErrnoException) => {
          settle({ kind: "failed", sent, code: error.code ?? error.name });
        });
        signal.addEventListener("abort", abort, { once: true });
        if (signal.aborted) abort();
        else request.end(body);
      }),
  };
}

function identityFault(certificate: PeerCertificate, tls: UpstreamTls): Error | undefined {
  if (tls.acceptsServer(new Uint8Array(certificate.raw))) return undefined;
  return Object.assign(new Error("the server is another one"), { code: SERVER_IDENTITY_CODE });
}
