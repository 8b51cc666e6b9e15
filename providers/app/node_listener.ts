/** The listeners of a node: mTLS for gateways (HTTP/1.1), and plain HTTP on loopback for health and metrics. */

import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { NodeMetrics } from "./node_metrics.ts";

defineErrors({
  PROVIDER_LISTEN: {
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
export interface NodeListener {
  /** `host:port`. */
  readonly address: string;
  /** Stops accepting, lets requests in work end, at most `drainMs`, then closes what is left. */
  close(drainMs: number): Promise<void>;
}

/** The mTLS listener. */
export interface SecureListener extends NodeListener {
  /** Takes other keys for new handshakes; connections that are open stay. */
  renew(keys: ListenerKeys): void;
}

const secureOptions = ({ certificate, key, authority }: ListenerKeys) => ({
  cert: certificate,
  key,
  ca: authority,
  minVersion: "TLSv1.2" as const,
});

/** Times and sizes; the peers are our own gateways, so slow ones are faults. */
const HANDSHAKE_MS = 5_000;
const REQUEST_MS = 10_000;
/** Longer than a gateway keeps an idle connection, so that it closes first. */
const KEEP_ALIVE_MS = 75_000;
const CONNECTIONS_MAX = 1024;

/** Opens the mTLS listener. @throws {CodedError} `PROVIDER_LISTEN`. */
export async function openListener(
  { hostname, port }: { hostname: string; port: number },
  keys: ListenerKeys,
  fetch: (request: Request, env: HttpBindings) => Response | Promise<Response>,
): Promise<SecureListener> {
  const server = createServer(
    {
      ...secureOptions(keys),
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: HANDSHAKE_MS,
      headersTimeout: HANDSHAKE_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: 16 * 1024,
    },
    getRequestListener((request, env) => fetch(request, env as HttpBindings), {
      overrideGlobalObjects: false,
    }),
  );
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once(
      "error",
      (error) => reject(new CodedError("PROVIDER_LISTEN", `Cannot listen on ${hostname}:${port}`, {}, error)),
    );
    server.listen(port, hostname, resolve);
  });
  return {
    address: `${hostname}:${(server.address() as AddressInfo).port}`,
    renew: (next) => server.setSecureContext(secureOptions(next)),
    async close(drainMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed;
      clearTimeout(late);
    },
  };
}

/** Opens the administration listener. @throws {CodedError} `PROVIDER_LISTEN`. */
export function openAdmin(
  address: { hostname: string; port: number },
  metrics: NodeMetrics,
  ready: () => Promise<readonly string[]>,
): NodeListener {
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.get("/readyz", async (c) => {
    const failing = await ready();
    return c.json({ ready: failing.length === 0, failing }, failing.length === 0 ? 200 : 503);
  });
  app.get("/metrics", async (c) => {
    c.header("content-type", metrics.registry.contentType);
    return c.body(await metrics.registry.metrics());
  });
  try {
    const server = Deno.serve({ ...address, onListen: () => {} }, app.fetch);
    return { address: `${address.hostname}:${server.addr.port}`, close: () => server.shutdown() };
  } catch (error) {
    throw new CodedError(
      "PROVIDER_LISTEN",
      `Cannot listen on ${address.hostname}:${address.port}`,
      {},
      error,
    );
  }
}
