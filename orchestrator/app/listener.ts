/** The mTLS listener on `node:https` (HTTP/1.1; TLS 1.2 and 1.3). The application asks for identities again on every request. */

import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { CodedError, defineErrors } from "shared/base/errors.ts";

/** Times and sizes; the peers are our own gateways, so slow ones are faults. A session's step waits for providers. */
const HANDSHAKE_MS = 5_000;
const HEADERS_MS = 5_000;
const REQUEST_MS = 30_000;
/** Longer than a gateway keeps an idle connection, so that it closes first. */
const KEEP_ALIVE_MS = 75_000;
const HEADER_BYTES_MAX = 16 * 1024;

/** A running listener. */
export interface Listener {
  /** `host:port`. */
  readonly address: string;
  /** Stops accepting, lets requests in work end, at most `drainMs`, then closes what is left. */
  drain(drainMs: number): Promise<void>;
}

/** Opens the listener. @param keys PEM texts; `authority`: of gateways. @throws {CodedError} `ORCHESTRATOR_LISTEN`. */
export async function openListener(
  address: { hostname: string; port: number },
  keys: { readonly certificate: string; readonly key: string; readonly authority: string },
  fetch: (request: Request, env: HttpBindings) => Response | Promise<Response>,
): Promise<Listener> {
  const server = createServer(
    {
      cert: keys.certificate,
      key: keys.key,
      ca: keys.authority,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: HANDSHAKE_MS,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    getRequestListener((request, env) => fetch(request, env as HttpBindings), {
      overrideGlobalObjects: false,
    }),
  );
  await new Promise<void>((resolve, reject) => {
    const where = `${address.hostname}:${address.port}`;
    server.once(
      "error",
      (error) => reject(new CodedError("ORCHESTRATOR_LISTEN", `Cannot listen on ${where}`, {}, error)),
    );
    server.listen(address.port, address.hostname, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: `${address.hostname}:${bound.port}`,
    async drain(drainMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed;
      clearTimeout(late);
    },
  };
}

defineErrors({
  ORCHESTRATOR_LISTEN: {
    fault: "configuration",
    retry: true,
    next: "Another program has this address, or it is not of this machine: change `listen`.",
  },
});
