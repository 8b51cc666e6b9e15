/** Health, metrics and the newest entries of the log, on loopback and without TLS: nothing here is secret, nothing here changes anything. */

import { Hono } from "hono";
import type { Registry } from "prom-client";
import { CodedError } from "../base/errors.ts";
import "./listen_error.ts";

/** What `/readyz` says. */
export interface Readiness {
  readonly ok: boolean;
  /** Names of what does not answer. */
  readonly failing: readonly string[];
}

/** A running administration listener. */
export interface AdminListener {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** What it shows. */
export interface AdminParts {
  /** Of `/metrics`. */
  readonly registry: Registry;
  readonly ready: () => Promise<Readiness>;
  /** Of `/log`. */
  readonly log?: Hono | undefined;
}

/** Opens it: `/healthz`, `/readyz`, `/metrics`, and `/log` where there is one. @throws {CodedError} `SERVICE_LISTEN`. */
export function openAdmin(
  address: { readonly hostname: string; readonly port: number },
  { registry, ready, log }: AdminParts,
): AdminListener {
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.get("/readyz", async (c) => {
    const { ok, failing } = await ready();
    return c.json({ ready: ok, failing }, ok ? 200 : 503);
  });
  app.get("/metrics", async (c) => {
    c.header("content-type", registry.contentType);
    return c.body(await registry.metrics());
  });
  if (log !== undefined) app.route("/log", log);
  try {
    const server = Deno.serve({ ...address, onListen: () => {} }, app.fetch);
    return { address: `${address.hostname}:${server.addr.port}`, close: () => server.shutdown() };
  } catch (error) {
    const where = `${address.hostname}:${address.port}`;
    throw new CodedError("SERVICE_LISTEN", `Cannot listen on ${where}`, {}, error);
  }
}
