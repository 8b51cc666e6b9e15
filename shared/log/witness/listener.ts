/** HTTP/1.1 listeners of a witness on `node:https` or `node:http`. */

import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { createServer as createPlainServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { splitAddress } from "../../base/configuration.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { type Trust } from "../../protocol/x509/trust.ts";
import { verifyCertificate } from "../../protocol/x509/verification.ts";
import type { Clock } from "../../transport/clock.ts";
import type { PeerEnvironment } from "./http_app.ts";

/** PEM texts of a TLS listener. */
export interface WitnessTls {
  readonly certificate: string;
  readonly key: string;
  /** Authority of clients, as text for the handshake and as trust for the check on every request. */
  readonly clients?: { readonly authority: string; readonly trust: Trust };
}

/** A running listener. */
export interface WitnessListener {
  /** `host:port`. */
  readonly address: string;
  /** Stops accepting and lets requests in work end, at most `drainMs`. */
  close(drainMs: number): Promise<void>;
}

const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const KEEP_ALIVE_MS = 75_000;
const HEADER_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 1024;
const BOUNDS = {
  headersTimeout: HEADERS_MS,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  maxHeaderSize: HEADER_BYTES_MAX,
};

/** Opens a listener. @throws {CodedError} `WITNESS_LISTEN`. */
export async function openWitnessListener(
  address: string,
  tls: WitnessTls | undefined,
  clock: Clock,
  fetch: (request: Request, env: PeerEnvironment) => Response | Promise<Response>,
): Promise<WitnessListener> {
  const handler = getRequestListener(async (request, env) => {
    const { socket } = (env as HttpBindings).incoming;
    return await fetch(request, {
      address: socket.remoteAddress ?? "",
      admitted: await isAdmitted(socket as TLSSocket, tls, clock),
    });
  }, { overrideGlobalObjects: false });
  const server = tls === undefined ? createPlainServer(BOUNDS, handler) : createTlsServer({
    ...BOUNDS,
    cert: tls.certificate,
    key: tls.key,
    minVersion: "TLSv1.2",
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: HEADERS_MS,
    ...(tls.clients === undefined
      ? {}
      : { ca: tls.clients.authority, requestCert: true, rejectUnauthorized: true }),
  }, handler);
  server.maxConnections = CONNECTIONS_MAX;
  const { hostname, port } = splitAddress(address);
  await new Promise<void>((resolve, reject) => {
    server.once(
      "error",
      (error) => reject(new CodedError("WITNESS_LISTEN", `Cannot listen on ${address}: ${error.message}`)),
    );
    server.listen(port, hostname, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: `${hostname.includes(":") ? `[${hostname}]` : hostname}:${bound.port}`,
    async close(drainMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed;
      clearTimeout(late);
    },
  };
}

/** The handshake is not enough: the runtime skips its check on resumed sessions, and knows no revocation lists. */
async function isAdmitted(socket: TLSSocket, tls: WitnessTls | undefined, clock: Clock): Promise<boolean> {
  if (tls?.clients === undefined) return true;
  const raw = socket.authorized ? socket.getPeerCertificate().raw : undefined;
  if (raw === undefined) return false;
  const verdict = await verifyCertificate([new Uint8Array(raw)], tls.clients.trust, {
    usage: "client",
    now: clock.now(),
  });
  return verdict.kind === "accept";
}

defineErrors({
  WITNESS_LISTEN: {
    fault: "configuration",
    retry: true,
    next: "Another program has this address, or it is not of this machine: change `listen` or `admin`.",
  },
});
