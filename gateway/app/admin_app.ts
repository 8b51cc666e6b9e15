/**
 * The admin listener: plain HTTP on a loopback address, for probes, Prometheus and people. Probes and metrics show no identities; the
 * status page shows those that ask most, the log's page has pseudonyms.
 */

import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { CodedError } from "shared/base/errors.ts";
import type { GatewayStatus } from "./status.ts";
import { statusPage } from "./status_page.ts";
import type { Telemetry } from "../service/telemetry.ts";
import "gateway/transport/errors.ts";

/** What the admin listener shows. */
export interface AdminView {
  readonly telemetry: Telemetry;
  readonly ready: () => boolean;
  readonly status: () => GatewayStatus;
  /** Hosts, with port, under which the status page answers. */
  readonly hosts: () => readonly string[];
  readonly upstreams: () => Readonly<Record<string, readonly { instance: string; state: string }[]>>;
  /** Page of the newest entries of the log. */
  readonly log?: Hono | undefined;
}

/** Makes the application. */
export function adminApp(view: AdminView): Hono {
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.get("/readyz", (c) => {
    const ready = view.ready();
    return c.json({ ready, upstreams: view.upstreams() }, ready ? 200 : 503);
  });
  app.get("/metrics", async (c) => {
    const { registry } = view.telemetry;
    return c.body(await registry.metrics(), 200, { "content-type": registry.contentType });
  });
  if (view.log !== undefined) app.route("/log", view.log);
  app.route("/", statusPage(view));
  return app;
}

/** Serves the application; `fd` is a listening socket that was handed over. @throws {CodedError} `GATEWAY_LISTEN`. */
export async function openAdmin(
  address: { readonly host: string; readonly port: number; readonly fd?: number | undefined },
  view: AdminView,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer(getRequestListener(adminApp(view).fetch, { overrideGlobalObjects: false }));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const where = `${address.host}:${address.port}`;
      reject(new CodedError("GATEWAY_LISTEN", `Cannot listen on ${where}: ${error.code ?? error.message}`));
    });
    const { host, port, fd } = address;
    server.listen(fd === undefined ? { host, port } : { fd }, resolve);
  });
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : address.port,
    close: () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
}
