/** The update service over HTTP, behind the gateway: who connects, for whom, then the operation. */

import type { HttpBindings } from "@hono/node-server";
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import type { TLSSocket } from "node:tls";
import { CodedError, codeOf, defineErrors } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { UPDATE_BODY_MAX } from "shared/protocol/wire/update.ts";
import { CLIENT_CERT_HEADER, clientCertificate } from "shared/protocol/x509/client_cert.ts";
import type { Trust } from "shared/protocol/x509/trust.ts";
import {
  GATEWAY_IDENTITY,
  peerCertificate,
  speaker,
  WALLET_IDENTITY,
} from "shared/service/behind_gateway.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { UpdateService } from "../service/update/update_service.ts";
import { problemResponse } from "./attestation_problems.ts";
import { BEGIN, CHALLENGE, RESUME, STEP } from "./update_routes.ts";

/** What the front needs. */
export interface UpdateFront {
  readonly service: UpdateService;
  readonly trust: () => { readonly gateways: Trust; readonly clients: Trust };
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends one request, for metrics. */
  readonly observe: (route: string, status: number, code: string, seconds: number) => void;
  readonly draining: () => boolean;
}

interface Env {
  Bindings: HttpBindings;
  Variables: { client: string; code: string };
}

/** Makes the application. */
export function updateApp(front: UpdateFront): OpenAPIHono<Env> {
  const { service, log } = front;
  const app = new OpenAPIHono<Env>({
    defaultHook: (result) => {
      if (result.success) return;
      const fields = result.error.issues.map(({ path }) => path.map(String).join(".") || "everything");
      return problemResponse("UPDATE_MALFORMED", {
        detail: `Cannot read request: wrong ${fields.join(", ")}`,
      });
    },
  });
  app.onError((error, c) => {
    const code = error instanceof HTTPException ? "UPDATE_MALFORMED" : codeOf(error);
    c.set("code", code);
    if (!(error instanceof CodedError) || error.row.http === undefined) {
      log.error("update.failed", { error });
      return problemResponse("INTERNAL");
    }
    return problemResponse(code, { detail: error.message });
  });
  app.notFound(() => problemResponse("UPDATE_ROUTE"));
  app.use(observed(front), gatewayOnly(front));
  const tooLarge = () => problemResponse("UPDATE_BODY");
  app.use("/v1/*", bodyLimit({ maxSize: UPDATE_BODY_MAX, onError: tooLarge }), walletOnly(front));
  app.openapi(
    CHALLENGE,
    async (c) => c.json(await service.challenge(c.var.client, c.req.valid("param").update), 200),
  );
  app.openapi(
    BEGIN,
    async (c) =>
      c.json(await service.begin(c.var.client, c.req.valid("param").update, c.req.valid("json")), 200),
  );
  app.openapi(
    RESUME,
    async (c) =>
      c.json(await service.resume(c.var.client, c.req.valid("param").update, c.req.valid("json")), 200),
  );
  app.openapi(STEP, async (c) => {
    const { update, step } = c.req.valid("param");
    return c.json(await service.step(c.var.client, update, step, c.req.valid("json").answers), 200);
  });
  return app;
}

/** Counts every request, under the route's pattern: numbers of updates are nobody's labels. */
function observed({ clock, observe, draining }: UpdateFront): MiddlewareHandler<Env> {
  return async (c, next) => {
    const begun = clock.monotonic();
    if (draining()) return problemResponse("UPDATE_BUSY");
    await next();
    const route = c.req.path.replace(/\/[0-9a-f-]{36}\//, "/{update}/").replace(/\d+$/, "{step}").slice(
      0,
      64,
    );
    const known = /^\/v1\/updates\/\{update\}\/(challenge|begin|resume|steps\/\{step\})$/.test(route);
    const code = c.var.code ?? (c.res.status < 400 ? "ok" : `${c.res.status}`);
    observe(known ? route : "other", c.res.status, code, (clock.monotonic() - begun) / 1000);
  };
}

/** Only a gateway's connection passes; each request asks again, a revocation since the handshake counts. */
function gatewayOnly(front: UpdateFront): MiddlewareHandler<Env> {
  return async (c, next) => {
    const certificate = peerCertificate(c.env.incoming.socket as TLSSocket);
    const gateway = await speaker(certificate, front.trust().gateways, GATEWAY_IDENTITY, front.clock);
    if (gateway.kind === "refuse") return problemResponse("UPDATE_GATEWAY");
    await next();
  };
}

/** The wallet is whom the gateway names in Client-Cert, verified here again. */
function walletOnly(front: UpdateFront): MiddlewareHandler<Env> {
  return async (c, next) => {
    const certificate = clientCertificate(c.req.header(CLIENT_CERT_HEADER));
    const wallet = await speaker(certificate, front.trust().clients, WALLET_IDENTITY, front.clock);
    if (wallet.kind === "refuse") return problemResponse("UPDATE_GATEWAY");
    c.set("client", wallet.identity);
    await next();
  };
}

defineErrors({
  UPDATE_ROUTE: {
    fault: "usage",
    retry: false,
    http: 404,
    next: "`rk update-service describe` shows what there is.",
  },
  UPDATE_BODY: { fault: "usage", retry: false, http: 413, next: "Send at most 4 MiB." },
  UPDATE_GATEWAY: {
    fault: "configuration",
    retry: false,
    http: 403,
    next: "Connect through a gateway: its certificate, and the wallet's in Client-Cert, are needed.",
  },
});
