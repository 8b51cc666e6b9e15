/** The orchestrator over HTTP, behind the gateway: who connects, for whom, then the operation. */

import type { HttpBindings } from "@hono/node-server";
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import type { TLSSocket } from "node:tls";
import { codeOf } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import type { EventLog } from "shared/log/writer/event_log.ts";
import { Problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import {
  ApduAnswers,
  CreateRecoverSession,
  RecoverSessionAnswer,
  VerificationResult,
} from "shared/protocol/wire/recover_session.ts";
import { CLIENT_CERT_HEADER, clientCertificate } from "shared/protocol/x509/client_cert.ts";
import type { Trust } from "shared/protocol/x509/trust.ts";
import type { Readiness } from "shared/transport/admin_listener.ts";
import type { Clock } from "shared/transport/clock.ts";
import {
  GATEWAY_IDENTITY,
  peerCertificate,
  speaker,
  WALLET_IDENTITY,
} from "shared/service/behind_gateway.ts";
import { observed, type RequestMetrics } from "shared/service/request_metrics.ts";
import type { Orchestrator } from "../service/orchestrator.ts";
import { failureResponse, problemResponse } from "./problems.ts";

/** Longest body that is read, in bytes. */
export const BODY_MAX = 64 * 1024;

/** What the front needs. */
export interface OrchestratorFront {
  readonly orchestrator: Orchestrator;
  /** As it is now: files change. */
  readonly trust: () => { readonly gateways: Trust; readonly clients: Trust };
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventLog;
  readonly ready: () => Promise<Readiness>;
}

interface Env {
  Bindings: HttpBindings;
  Variables: { client: string };
}

const session = z.object({ session: z.uuid() });
const answers = {
  200: {
    description: "The present step",
    content: { "application/json": { schema: RecoverSessionAnswer } },
  },
  default: {
    description: "A problem; with 503 the same request again helps",
    content: { [PROBLEM_MEDIA_TYPE]: { schema: Problem } },
  },
};
const body = <T extends z.ZodType>(schema: T) => ({
  body: { required: true, content: { "application/json": { schema } } },
});

const CREATE = createRoute({
  method: "post",
  path: "/v1/recover/sessions",
  summary: "Begin a backup, a restore or a deletion; the same request again shows it",
  request: body(CreateRecoverSession),
  responses: answers,
});
const SHOW = createRoute({
  method: "get",
  path: "/v1/recover/sessions/{session}",
  summary: "Show the present step",
  request: { params: session },
  responses: answers,
});
const APDUS = createRoute({
  method: "post",
  path: "/v1/recover/sessions/{session}/apdus",
  summary: "The device's answers to a batch of APDUs; the same answers again are counted once",
  request: { params: session, ...body(ApduAnswers) },
  responses: answers,
});
const VERIFICATIONS = createRoute({
  method: "post",
  path: "/v1/recover/sessions/{session}/verifications",
  summary: "The identity verifier's result, sealed to the provider's vault",
  request: { params: session, ...body(VerificationResult) },
  responses: answers,
});
const GIVE_UP = createRoute({
  method: "delete",
  path: "/v1/recover/sessions/{session}",
  summary: "Give a session up, unless it is being carried through already",
  request: { params: session },
  responses: answers,
});

/** Makes the application. */
export function orchestratorApp(front: OrchestratorFront): OpenAPIHono<Env> {
  const { orchestrator, log } = front;
  const app = new OpenAPIHono<Env>({
    defaultHook: (result) => {
      if (result.success) return;
      // Only names of fields: a value can be an identity.
      const fields = result.error.issues.map(({ path }) => path.map(String).join(".") || "everything");
      return problemResponse("ORCHESTRATOR_MALFORMED", `Cannot read body: wrong ${fields.join(", ")}`);
    },
  });
  app.onError((error, c) => {
    if (error instanceof HTTPException) return problemResponse("ORCHESTRATOR_MALFORMED");
    log.warning("request.failed", { path: c.req.path, error });
    tellRefused(front, "failed", codeOf(error));
    return failureResponse(error);
  });
  app.notFound(() => problemResponse("ORCHESTRATOR_ROUTE_UNKNOWN"));
  app.use(observed(front.metrics, front.clock, "ORCHESTRATOR_ROUTE_UNKNOWN"), gatewayOnly(front));
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.get("/readyz", async (c) => {
    const { ok, failing } = await front.ready();
    return c.json({ ready: ok, failing }, ok ? 200 : 503);
  });
  const tooLarge = () => problemResponse("ORCHESTRATOR_BODY");
  app.use("/v1/*", bodyLimit({ maxSize: BODY_MAX, onError: tooLarge }), companionOnly(front));

  app.openapi(CREATE, async (c) => c.json(await orchestrator.create(c.var.client, c.req.valid("json")), 200));
  app.openapi(
    SHOW,
    async (c) => c.json(await orchestrator.show(c.var.client, c.req.valid("param").session), 200),
  );
  app.openapi(APDUS, async (c) => {
    const { batch, answers } = c.req.valid("json");
    const answer = { kind: "apdus", answers } as const;
    return c.json(await orchestrator.answer(c.var.client, c.req.valid("param").session, batch, answer), 200);
  });
  app.openapi(VERIFICATIONS, async (c) => {
    const { batch, sealedVerification } = c.req.valid("json");
    const answer = { kind: "verification", sealedVerification } as const;
    return c.json(await orchestrator.answer(c.var.client, c.req.valid("param").session, batch, answer), 200);
  });
  app.openapi(
    GIVE_UP,
    async (c) => c.json(await orchestrator.giveUp(c.var.client, c.req.valid("param").session), 200),
  );
  app.doc31("/openapi.json", DOCUMENT_HEAD);
  return app;
}

const DOCUMENT_HEAD = {
  openapi: "3.1.0",
  info: {
    title: "Recover orchestrator",
    version: "1",
    description: "Backup, restore and deletion of a seed. Byte strings are upper-case hex.",
  },
};

/** The document of `GET /openapi.json`, without starting the service: what a gateway lets through. */
export function orchestratorDocument(): object {
  const app = new OpenAPIHono();
  for (const route of [CREATE, SHOW, APDUS, VERIFICATIONS, GIVE_UP]) app.openAPIRegistry.registerPath(route);
  return app.getOpenAPI31Document(DOCUMENT_HEAD);
}

function tellRefused({ events }: OrchestratorFront, outcome: "refused" | "failed", reason: string): void {
  events.tell("orchestrator.request-refused", { actor: events.self, outcome, reason });
}

/** Only a gateway's connection passes; each request asks again, a revocation since the handshake counts. */
function gatewayOnly(front: OrchestratorFront): MiddlewareHandler<Env> {
  const { trust, clock, log } = front;
  return async (c, next) => {
    const socket = c.env.incoming.socket as TLSSocket;
    const gateway = await speaker(peerCertificate(socket), trust().gateways, GATEWAY_IDENTITY, clock);
    if (gateway.kind === "refuse") {
      log.warning("gateway.refused", { reason: gateway.reason, address: socket.remoteAddress });
      tellRefused(front, "refused", "ORCHESTRATOR_GATEWAY");
      return problemResponse("ORCHESTRATOR_GATEWAY");
    }
    await next();
  };
}

/** The companion is whom the gateway names in Client-Cert, verified here again. */
function companionOnly(front: OrchestratorFront): MiddlewareHandler<Env> {
  const { trust, clock, log } = front;
  return async (c, next) => {
    const certificate = clientCertificate(c.req.header(CLIENT_CERT_HEADER));
    const companion = await speaker(certificate, trust().clients, WALLET_IDENTITY, clock);
    if (companion.kind === "refuse") {
      log.warning("companion.refused", { reason: companion.reason });
      tellRefused(front, "refused", "ORCHESTRATOR_GATEWAY");
      return problemResponse("ORCHESTRATOR_GATEWAY");
    }
    c.set("client", companion.identity);
    await next();
  };
}
