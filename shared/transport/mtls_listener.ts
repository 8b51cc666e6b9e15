/**
 * The mTLS listener of a service on `node:https` (HTTP/1.1; TLS 1.2 and 1.3). The TLS layer refuses strangers; the application
 * asks for identities again on every request. The peers are our own gateways, so slow ones are faults.
 */

import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { CodedError } from "../base/errors.ts";
import "./listen_error.ts";

/** PEM texts of a listener. */
export interface ListenerKeys {
  readonly certificate: string;
  readonly key: string;
  /** Of clients: one authority in the process. */
  readonly authority: string;
}

/** A running listener. */
export interface MtlsListener {
  /** `host:port`. */
  readonly address: string;
  /** Takes other keys for new handshakes; connections that are open stay. */
  renew(keys: ListenerKeys): void;
  /** Stops accepting, lets requests in work end, at most `drainMs`, then closes what is left. */
  drain(drainMs: number): Promise<void>;
}

/** What a service decides for itself. */
export interface MtlsListenerOptions {
  /** Longest time in which a request has to arrive, in milliseconds. Default 10,000. */
  readonly requestMs?: number;
}

const HANDSHAKE_MS = 5_000;
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
/** Longer than a gateway keeps an idle connection, so that it closes first. */
const KEEP_ALIVE_MS = 75_000;
const HEADER_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 1024;

const secureOptions = ({ certificate, key, authority }: ListenerKeys) => ({
  cert: certificate,
  key,
  ca: authority,
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: "TLSv1.2" as const,
  ALPNProtocols: ["http/1.1"],
});

/** Opens a listener. Port 0 takes a free one. @throws {CodedError} `SERVICE_LISTEN`. */
export async function openMtlsListener(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  keys: ListenerKeys,
  fetch: (request: Request, env: HttpBindings) => Response | Promise<Response>,
  { requestMs = REQUEST_MS }: MtlsListenerOptions = {},
): Promise<MtlsListener> {
  const server = createServer(
    {
      ...secureOptions(keys),
      handshakeTimeout: HANDSHAKE_MS,
      headersTimeout: HEADERS_MS,
      requestTimeout: requestMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    getRequestListener((request, env) => fetch(request, env as HttpBindings), {
      overrideGlobalObjects: false,
    }),
  );
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once(
      "error",
      (error) => reject(new CodedError("SERVICE_LISTEN", `Cannot listen on ${hostname}:${port}`, {}, error)),
    );
    server.listen(port, hostname, resolve);
  });
  return {
    address: `${hostname}:${(server.address() as AddressInfo).port}`,
    renew: (next) => server.setSecureContext(secureOptions(next)),
    async drain(drainMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed;
      clearTimeout(late);
    },
  };
}
