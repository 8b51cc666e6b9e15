/**
 * A provider's node over HTTP. The order is fixed: connection, orchestrator's certificate, body size, schema, step. What a
 * refusal was for stays in the log.
 */

import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { routePath } from "hono/route";
import type { TLSSocket } from "node:tls";
import { CodedError, codeOf, defineErrors, errorRow } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import type { EventLog } from "shared/log/writer/event_log.ts";
import { problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import {
  ConfirmRequest,
  DeleteRequest,
  DeletionRequest,
  DepositRequest,
  OpenSessionRequest,
  RecoverSessionId,
  ReleaseRequest,
} from "shared/protocol/wire/recover.ts";
import { CLIENT_CERT_HEADER, clientCertificate } from "shared/protocol/x509/client_cert.ts";
import type { Trust } from "shared/protocol/x509/trust.ts";
import type { Clock } from "shared/transport/clock.ts";
import {
  GATEWAY_IDENTITY,
  ORCHESTRATOR_IDENTITY,
  peerCertificate,
  speaker,
} from "shared/service/behind_gateway.ts";
import { observed, type RequestMetrics } from "shared/service/request_metrics.ts";
import type { StepOutcome } from "../service/provider_service.ts";
import type { VaultStep } from "../vault/protocol.ts";

/** Longest body that is read, in bytes: a deposit with an identity verification. */
export const BODY_MAX = 64 * 1024;
const RETRY_AFTER_SECONDS = 1;

defineErrors({
  PROVIDER_GATEWAY: { fault: "peer", retry: false, http: 403, next: "Connect with a gateway's certificate." },
  PROVIDER_IDENTITY: { fault: "peer", retry: false, http: 403, next: "Only an orchestrator is served here." },
  PROVIDER_ROUTE: { fault: "peer", retry: false, http: 404, next: "Use a route of the interface." },
  PROVIDER_TOO_LARGE: { fault: "peer", retry: false, http: 413, next: "Send at most 64 KiB." },
  PROVIDER_BUSY: { fault: "service", retry: true, http: 503, next: "Send the same request again." },
});

/** Trust in the two authorities. */
export interface NodeTrust {
  readonly gateways: Trust;
  readonly orchestrators: Trust;
}

/** What the front needs. */
export interface NodeFront {
  readonly step: (step: VaultStep, session: string, body: unknown) => Promise<StepOutcome>;
  readonly trust: () => NodeTrust;
  readonly metrics: RequestMetrics;
  readonly log: Logger;
  readonly events: EventLog;
  readonly clock: Clock;
  readonly limits: { readonly inFlight: number; readonly deadlineMs: number };
  /** What stands before `/v1` in every path. */
  readonly path: string;
  /** True once this instance stops. */
  readonly draining: () => boolean;
}

interface Env {
  Bindings: HttpBindings;
}

/** Steps of an open session, with the schema of their bodies. */
const STEPS = {
  deposit: DepositRequest,
  commit: undefined,
  confirm: ConfirmRequest,
  release: ReleaseRequest,
  delete: DeleteRequest,
  deletion: DeletionRequest,
} as const;

/** Makes the application. */
export function nodeApp(front: NodeFront): Hono<Env> {
  const { path } = front;
  const app = new Hono<Env>();
  app.onError((error, c) => {
    const code = codeOfFailure(error);
    front.log.error("request.failed", { route: routeOf(c), code, cause: codeOf(error) });
    tellFailed(front, error);
    return problemResponse(code);
  });
  app.notFound(() => problemResponse("PROVIDER_ROUTE"));
  app.use(observed(front.metrics, front.clock, "PROVIDER_ROUTE"), gatewayOnly(front));
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.use(`${path}/v1/*`, bounded(front), orchestratorOnly(front));
  // Not for DELETE: it has no body, and the adapter cannot be asked for one.
  app.on(
    "POST",
    `${path}/v1/*`,
    bodyLimit({ maxSize: BODY_MAX, onError: () => problemResponse("PROVIDER_TOO_LARGE") }),
  );
  const take = async (c: Context, step: VaultStep, session: string, body: unknown) => {
    const outcome = await front.step(step, session, body);
    if (outcome.kind === "answer") return c.json(outcome.answer as Record<string, unknown>, 200);
    front.log.info("step.refused", { step, code: outcome.code, reasons: outcome.reasons });
    return problemResponse(outcome.code);
  };
  app.post(`${path}/v1/sessions`, async (c) => {
    const body = OpenSessionRequest.safeParse(await json(c));
    return body.success
      ? await take(c, "open", body.data.session, body.data)
      : problemResponse("PROVIDER_MALFORMED");
  });
  for (
    const [step, schema] of Object.entries(STEPS) as [keyof typeof STEPS, typeof DepositRequest | undefined][]
  ) {
    app.post(`${path}/v1/sessions/:session/${step}`, async (c) => {
      const session = RecoverSessionId.safeParse(c.req.param("session"));
      const body = schema === undefined
        ? { success: true, data: {} } as const
        : schema.safeParse(await json(c));
      if (!session.success || !body.success) return problemResponse("PROVIDER_MALFORMED");
      return await take(c, step, session.data.toLowerCase(), body.data);
    });
  }
  app.delete(`${path}/v1/sessions/:session`, async (c) => {
    const session = RecoverSessionId.safeParse(c.req.param("session"));
    if (!session.success) return problemResponse("PROVIDER_MALFORMED");
    return await take(c, "abandon", session.data.toLowerCase(), {});
  });
  return app;
}

async function json(c: Context): Promise<unknown> {
  try {
    return await c.req.json();
  } catch (error) {
    if (error instanceof HTTPException) throw error;
    return undefined;
  }
}

function tellFailed({ events }: NodeFront, error: unknown): void {
  events.tell("provider.request-failed", { actor: events.self, outcome: "failed", reason: codeOf(error) });
}

function problemResponse(code: string): Response {
  const { http: status = 500, next } = errorRow(code);
  const headers: Record<string, string> = { "content-type": PROBLEM_MEDIA_TYPE, "cache-control": "no-store" };
  if (status === 503) headers["retry-after"] = String(RETRY_AFTER_SECONDS);
  return new Response(JSON.stringify(problem(code, status, "The request was not carried out", { next })), {
    status,
    headers,
  });
}

function codeOfFailure(error: unknown): string {
  if (error instanceof HTTPException && error.status === 413) return "PROVIDER_TOO_LARGE";
  return error instanceof CodedError && error.row.http !== undefined ? error.code : "INTERNAL";
}

/** The route's pattern, without the session. */
function routeOf(c: Context): string {
  return routePath(c, -1);
}

function gatewayOnly({ trust, clock, log, events }: NodeFront): MiddlewareHandler<Env> {
  return async (c, next) => {
    const socket = c.env.incoming.socket as TLSSocket;
    const gateway = await speaker(peerCertificate(socket), trust().gateways, GATEWAY_IDENTITY, clock);
    if (gateway.kind === "refuse") {
      const { reason } = gateway;
      log.warning("gateway.refused", { reason });
      const address = { kind: "address", identifier: socket.remoteAddress ?? "unknown" } as const;
      events.tell("provider.gateway-refused", { actor: address, outcome: "refused", reason });
      return problemResponse("PROVIDER_GATEWAY");
    }
    await next();
  };
}

function orchestratorOnly({ trust, clock, log, events }: NodeFront): MiddlewareHandler<Env> {
  return async (c, next) => {
    const certificate = clientCertificate(c.req.header(CLIENT_CERT_HEADER));
    const orchestrator = await speaker(certificate, trust().orchestrators, ORCHESTRATOR_IDENTITY, clock);
    if (orchestrator.kind === "refuse") {
      const { reason } = orchestrator;
      log.warning("orchestrator.refused", { reason });
      const address = {
        kind: "address",
        identifier: c.env.incoming.socket.remoteAddress ?? "unknown",
      } as const;
      events.tell("provider.orchestrator-refused", { actor: address, outcome: "refused", reason });
      return problemResponse("PROVIDER_IDENTITY");
    }
    await next();
  };
}

/** Bounds the work: how many at once, and for how long each. */
function bounded(front: NodeFront): MiddlewareHandler<Env> {
  const { limits, draining, log } = front;
  let working = 0;
  return async (_c, next) => {
    if (draining() || working >= limits.inFlight) return problemResponse("PROVIDER_BUSY");
    working++;
    const done = next().finally(() => working--);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<"late">((resolve) =>
      timer = setTimeout(() => resolve("late"), limits.deadlineMs)
    );
    try {
      if (await Promise.race([done, deadline]) === "late") {
        done.catch((error) => {
          log.error("request.failed-late", { code: codeOf(error) });
          tellFailed(front, error);
        });
        return problemResponse("PROVIDER_BUSY");
      }
    } finally {
      clearTimeout(timer);
    }
  };
}
