/** HTTP of a witness: `POST /add-checkpoint` (C2SP tlog-witness) for logs; health and metrics for its operator. */

import { Hono } from "hono";
import type { Clock } from "../../transport/clock.ts";
import type { WitnessMetrics } from "./metrics.ts";
import type { RateLimit } from "./rate.ts";
import { REQUEST_BYTES_MAX } from "./request.ts";
import type { Witness } from "./witness.ts";

/** What a connection says of its peer. */
export interface PeerEnvironment {
  /** Address of the other side; empty when it is not known. */
  readonly address: string;
  /** Whether its certificate was accepted, where the witness asks for one. */
  readonly admitted: boolean;
}

/** The parts of the app. */
export interface WitnessAppParts {
  readonly witness: Witness;
  readonly rate: RateLimit;
  readonly clock: Clock;
}

const text = (body: string, status: number) =>
  new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });

/** The app for logs. */
export function witnessApp({ witness, rate, clock }: WitnessAppParts): Hono<{ Bindings: PeerEnvironment }> {
  const app = new Hono<{ Bindings: PeerEnvironment }>();
  app.use(async (context, next) => {
    if (!context.env.admitted) return text("client certificate not accepted\n", 403);
    if (!rate.take(context.env.address, clock.monotonic())) {
      return new Response("too many requests\n", { status: 429, headers: { "retry-after": "1" } });
    }
    return await next();
  });
  app.post("/add-checkpoint", async (context) => {
    const body = await readBounded(context.req.raw);
    if (body === undefined) return text("the body is too long\n", 413);
    const answer = await witness.addCheckpoint(body);
    const headers: Record<string, string> = { "content-type": answer.contentType };
    if (answer.status === 503) headers["retry-after"] = "5";
    return new Response(answer.body, { status: answer.status, headers });
  });
  app.notFound(() => text("there is POST /add-checkpoint and nothing else\n", 404));
  app.onError(() => text("INTERNAL\n", 500));
  return app;
}

/** The app for the operator. */
export function witnessAdminApp(metrics: WitnessMetrics, vkey: string): Hono {
  const app = new Hono();
  app.get("/healthz", () => text("ok\n", 200));
  app.get("/vkey", () => text(`${vkey}\n`, 200));
  app.get(
    "/metrics",
    async () =>
      new Response(await metrics.registry.metrics(), {
        headers: { "content-type": metrics.registry.contentType },
      }),
  );
  return app;
}

async function readBounded(request: Request): Promise<Uint8Array | undefined> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const part of request.body ?? []) {
    length += part.length;
    if (length > REQUEST_BYTES_MAX) return undefined;
    parts.push(part);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
