/**
 * The mTLS listener on `node:https` (HTTP/1.1; TLS 1.2 and 1.3). The TLS layer refuses strangers; the
 * application asks again on every request (attestation_identity.ts). One authority for clients in the process.
 */

import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { CodedError, defineErrors } from "shared/base/errors.ts";

defineErrors({
  ATTEST_LISTEN: {
    fault: "configuration",
    retry: true,
    next: "Another program has this address, or it is not of this machine: change `listen` or `admin`.",
  },
});

/** PEM texts of the listener. */
export interface ListenerKeys {
  readonly certificate: string;
  readonly key: string;
  /** Authority of gateways. */
  readonly authority: string;
}

/** A running listener. */
export interface AttestationListener {
  /** `host:port`. */
  readonly address: string;
  /** Takes other keys for new handshakes. */
  renew(keys: ListenerKeys): void;
  /** Stops accepting, lets requests in work end, at most `drainMs`, then closes what is left. */
  drain(drainMs: number): Promise<void>;
}

/** Times and sizes; the peers are our own gateways, so slow ones are faults. */
const HANDSHAKE_MS = 5_000;
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
/** Longer than a gateway keeps an idle connection, so that it closes first. */
const KEEP_ALIVE_MS = 75_000;
const HEADER_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 1024;

const secureOptions = (keys: ListenerKeys) => ({
  cert: keys.certificate,
  key: keys.key,
  ca: keys.authority,
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: "TLSv1.2" as const,
  ALPNProtocols: ["http/1.1"],
});

/** Opens the listener. @throws {CodedError} `ATTEST_LISTEN`. */
export async function openListener(
  address: { hostname: string; port: number },
  keys: ListenerKeys,
  fetch: (request: Request, env: HttpBindings) => Response | Promise<Response>,
): Promise<AttestationListener> {
  const server: Server = createServer(
    {
      ...secureOptions(keys),
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
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new CodedError("ATTEST_LISTEN", `Cannot listen on ${address.hostname}:${address.port}`, {}, error),
      ));
    server.listen(address.port, address.hostname, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: `${address.hostname}:${bound.port}`,
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
