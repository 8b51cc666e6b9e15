/** What the enrolment publishes over plain HTTP: its authority, its revocation list and its health. All of it is signed or public. */

import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { CodedError } from "shared/base/errors.ts";
import "../transport/errors.ts";

/** What is shown. */
export interface Publication {
  /** DER. */
  readonly list: () => Uint8Array<ArrayBuffer>;
  /** DER. */
  readonly authority: Uint8Array<ArrayBuffer>;
  readonly ready: () => boolean;
}

/** Where a gateway's `revocationUrls` finds the list. */
export const LIST_PATH = "/issued.crl";

/** Serves it. @throws {CodedError} `GATEWAY_LISTEN`. */
export async function openPublication(
  address: { readonly host: string; readonly port: number },
  shown: Publication,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const app = new Hono();
  app.get(LIST_PATH, (c) => c.body(shown.list(), 200, { "content-type": "application/pkix-crl" }));
  app.get("/issued.crt", (c) => c.body(shown.authority, 200, { "content-type": "application/pkix-cert" }));
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.get("/readyz", (c) => c.json({ ready: shown.ready() }, shown.ready() ? 200 : 503));
  const server = createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false }));
  server.maxConnections = 200;
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const where = `${address.host}:${address.port}`;
      reject(new CodedError("GATEWAY_LISTEN", `Cannot listen on ${where}: ${error.code ?? error.message}`));
    });
    server.listen({ host: address.host, port: address.port }, resolve);
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
