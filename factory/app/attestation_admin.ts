/** Health, metrics and the newest entries of the log, on loopback and without TLS: nothing here is secret, nothing here changes anything. */

import { Hono } from "hono";
import { CodedError } from "shared/base/errors.ts";
import type { AttestationMetrics } from "./attestation_metrics.ts";
import type { Readiness } from "./attestation_readiness.ts";
import "./attestation_listener.ts";

/** A running administration listener. */
export interface AdminListener {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Opens it. @throws {CodedError} `ATTEST_LISTEN`. */
export function openAdmin(
  address: { hostname: string; port: number },
  metrics: Pick<AttestationMetrics, "registry">,
  ready: () => Promise<Readiness>,
  log?: Hono,
): AdminListener {
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.get("/readyz", async (c) => {
    const { ok, failing } = await ready();
    return c.json({ ready: ok, failing }, ok ? 200 : 503);
  });
  app.get("/metrics", async (c) => {
    c.header("content-type", metrics.registry.contentType);
    return c.body(await metrics.registry.metrics());
  });
  if (log !== undefined) app.route("/log", log);
  try {
    const server = Deno.serve({ ...address, onListen: () => {} }, app.fetch);
    return { address: `${address.hostname}:${server.addr.port}`, close: () => server.shutdown() };
  } catch (error) {
    throw new CodedError(
      "ATTEST_LISTEN",
      `Cannot listen on ${address.hostname}:${address.port}`,
      {},
      error,
    );
  }
}
