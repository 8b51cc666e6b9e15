/**
 * The attestation service over HTTP: who connects, who speaks, what was signed, then the operation. The order
 * is fixed: connection, body size, sender's certificate, signature, schema, decision; to a sender every failure
 * of authentication looks the same, and the log knows which it was.
 */

import type { HttpBindings } from "@hono/node-server";
import { OpenAPIHono } from "@hono/zod-openapi";
import { bodyLimit } from "hono/body-limit";
import { routePath } from "hono/route";
import type { TLSSocket } from "node:tls";
import type { Context, MiddlewareHandler } from "hono";
import { errorTable } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { REVOCATION_LIST_MEDIA_TYPE } from "shared/protocol/recovery_key/revocation_list.ts";
import { CLIENT_CERT_HEADER } from "shared/protocol/x509/client_cert.ts";
import { peerCertificate } from "shared/service/behind_gateway.ts";
import { SENDER_REASONS } from "shared/log/reasons.ts";
import type { EventLog } from "shared/log/writer/event_log.ts";
import type { Identified } from "shared/log/recorder.ts";
import { verifyRequest } from "shared/protocol/wire/http_signature.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { AttestationService } from "../service/attestation/attestation_service.ts";
import { type ConfiguredSender, isRefusal } from "../service/attestation/context.ts";
import { ISSUANCE_REFUSALS, type Refusal } from "../domain/issuance/refusals.ts";
import type { RequestStamp } from "../transport/issuance_store/transaction.ts";
import {
  ANSWER_KEPT_SECONDS,
  IDEMPOTENCY_KEY_HEADER,
  idempotencyKeyOf,
  requestDigest,
} from "./attestation_idempotency.ts";
import type { IdentityChecker, SenderIdentity } from "./attestation_identity.ts";
import type { AttestationMetrics } from "./attestation_metrics.ts";
import { codeOfFailure, problemResponse, refusalResponse } from "./attestation_problems.ts";
import { describeSecurity, DOCUMENT_HEAD } from "./attestation_document.ts";
import {
  ATTEST,
  BATCH_CARDS,
  BATCH_RECORDS,
  BATCH_REPORT,
  CARD_KEYS,
  CLOSE,
  CLOSE_BATCH,
  CREATE_BATCH,
  HOST_CERTIFICATE,
  INSTALL,
  OPEN_BATCH,
  READ_BATCH,
  RECORD_KEY,
  RESERVE,
  REVOCATIONS,
} from "./attestation_routes.ts";

/** How long caches may keep the list of revoked certificates. */
const LIST_CACHE_CONTROL = "public, max-age=60";
/** Longest body that is read, in bytes. */
export const BODY_MAX = 64 * 1024;

/** What the front needs. */
export interface AttestationFront {
  readonly service: AttestationService;
  readonly identities: IdentityChecker;
  readonly senders: ReadonlyMap<string, ConfiguredSender>;
  readonly metrics: AttestationMetrics;
  readonly log: Logger;
  /** The tamper-evident log: refusals are counted there. */
  readonly events: EventLog;
  readonly clock?: Clock;
  readonly limits: { readonly inFlight: number; readonly deadlineMs: number };
  /** True once this instance stops. */
  readonly draining: () => boolean;
  /** Whether database and token answer; the text says what does not. */
  readonly ready: () => Promise<{ readonly ok: boolean; readonly failing: readonly string[] }>;
}

interface Env {
  Bindings: HttpBindings;
  Variables: {
    identity: SenderIdentity;
    gateway: string;
    stamp: RequestStamp;
    code: string;
    /** An entry tells of the outcome already. */
    entered: boolean;
  };
}

/** Makes the application. */
export function attestationApp(front: AttestationFront): OpenAPIHono<Env> {
  const { service } = front;
  const app = new OpenAPIHono<Env>({
    defaultHook: (result) => {
      if (result.success) return;
      const errors = result.error.issues.map((issue) => ({
        detail: issue.message,
        pointer: "#" + issue.path.map((part) => `/${escapePointer(String(part))}`).join(""),
      }));
      const detail = errors.map(({ pointer, detail }) => `${pointer}: ${detail}`).join("; ");
      return problemResponse("ATTEST_MALFORMED", { detail, errors });
    },
  });
  app.onError((error, c) => {
    const code = codeOfFailure(error);
    const level = code === "ATTEST_MALFORMED" ? "info" : "error";
    front.log[level]("request.failed", { path: c.req.path, code, requestId: requestId(c), error });
    if (level === "error") requestFailed(front, c, code);
    return problemResponse(code);
  });
  app.notFound(() => problemResponse("ATTEST_ROUTE_UNKNOWN"));

  app.use(observed(front), gatewayOnly(front));
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.get("/readyz", async (c) => {
    const { ok, failing } = await front.ready();
    return c.json({ ready: ok, failing }, ok ? 200 : 503);
  });
  app.use("/v1/*", bounded(front), bodyLimit({ maxSize: BODY_MAX, onError: tooLarge }), authenticated(front));

  app.openapi(
    CREATE_BATCH,
    async (c) => decided(c, await service.createBatch(c.var.stamp, c.req.valid("json"))),
  );
  app.openapi(
    READ_BATCH,
    async (c) => decided(c, await service.readBatch(c.var.identity.name, c.req.valid("param").batch)),
  );
  app.openapi(OPEN_BATCH, async (c) => decided(c, await service.openBatch(c.var.stamp, c.req.valid("json"))));
  app.openapi(
    CLOSE_BATCH,
    async (c) => decided(c, await service.closeBatch(c.var.stamp, c.req.valid("json"))),
  );
  app.openapi(
    BATCH_REPORT,
    async (c) => decided(c, await service.batchReport(c.var.stamp, c.req.valid("json"))),
  );
  app.openapi(
    BATCH_CARDS,
    async (c) => decided(c, await service.batchCards(c.var.stamp, c.req.valid("json"))),
  );
  app.openapi(
    BATCH_RECORDS,
    async (c) => decided(c, await service.batchRecords(c.var.stamp, c.req.valid("json"))),
  );
  app.openapi(RECORD_KEY, async (c) => decided(c, await service.recordKey(c.var.stamp)));
  app.openapi(CARD_KEYS, async (c) => decided(c, await service.cardKeys(c.var.stamp, c.req.valid("json"))));
  app.openapi(RESERVE, async (c) => decided(c, await service.reserve(c.var.stamp, c.req.valid("json"))));
  app.openapi(ATTEST, async (c) => decided(c, await service.attest(c.var.stamp, c.req.valid("json"))));
  app.openapi(INSTALL, async (c) => decided(c, await service.install(c.var.stamp, c.req.valid("json"))));
  app.openapi(CLOSE, async (c) => decided(c, await service.close(c.var.stamp, c.req.valid("json"))));
  app.openapi(REVOCATIONS, async (c) => {
    const { list, number } = await service.revocations();
    const headers = { etag: `"${number}"`, "cache-control": LIST_CACHE_CONTROL };
    const known = c.req.header("if-none-match")?.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
    if (known?.some((tag) => tag === "*" || tag === headers.etag)) return c.body(null, 304, headers);
    return c.body(list, 200, { ...headers, "content-type": REVOCATION_LIST_MEDIA_TYPE }) as never;
  });
  app.openapi(
    HOST_CERTIFICATE,
    async (c) => decided(c, await service.hostCertificate(c.var.stamp, c.req.valid("json"))),
  );

  describeSecurity(app);
  app.doc31("/openapi.json", DOCUMENT_HEAD);
  return app;
}

/** A decision as an answer: what was asked for, or the problem of its refusal. */
function decided<T extends object>(c: Context<Env>, result: T | Refusal) {
  return isRefusal(result)
    ? refusalResponse(result.reason) as never
    : c.json(result as Exclude<T, Refusal>, 200);
}

function tooLarge(): Response {
  return problemResponse("ATTEST_BODY_TOO_LARGE");
}

function escapePointer(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** The identifier that the gateway drew for us; text of another form is not a gateway's, and not repeated in the log. */
function requestId(c: Context): string | undefined {
  const id = c.req.header("x-request-id");
  return id !== undefined && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id) ? id : undefined;
}

/** Counts and times each request by its route's pattern, so that a foreign path makes no new label. */
function observed(front: AttestationFront): MiddlewareHandler<Env> {
  const clock = front.clock ?? SYSTEM_CLOCK;
  return async (c, next) => {
    const begun = clock.monotonic();
    front.metrics.inFlight(1);
    try {
      await next();
    } finally {
      front.metrics.inFlight(-1);
      const { status } = c.res;
      const code = status < 400 ? "ok" : await problemCode(c.res);
      const route = code === "ATTEST_ROUTE_UNKNOWN" ? "unknown" : routePath(c, -1);
      front.metrics.observe(route, status, code, (clock.monotonic() - begun) / 1000);
      if (status >= 400) {
        front.log.info("request.refused", { route, status, code, requestId: requestId(c) });
        const actor = actorOf(c);
        // A refused decision about a signed request was entered with the request itself.
        const decided = c.get("stamp") !== undefined && code in ISSUANCE_REFUSALS;
        if (actor !== undefined && !c.get("entered") && !decided && errorTable().has(code)) {
          const subject = { kind: "route", identifier: route } as const;
          front.events.tell("attestation.request-refused", {
            actor,
            subject,
            outcome: "refused",
            reason: code,
          });
        }
      }
    }
  };
}

async function problemCode(response: Response): Promise<string> {
  if (!response.headers.get("content-type")?.startsWith("application/problem+json")) return "other";
  const body = await response.clone().json() as { code?: string };
  return body.code ?? "other";
}

/** Who is behind a request, as far as it is known. */
function actorOf(c: Context<Env>): Identified | undefined {
  const sender = c.get("identity")?.name;
  if (sender !== undefined) return { kind: "sender", identifier: sender };
  const gateway = c.get("gateway");
  return gateway === undefined ? undefined : { kind: "gateway", identifier: gateway };
}

function requestFailed(front: AttestationFront, c: Context<Env>, code: string): void {
  front.events.tell("attestation.request-failed", {
    actor: actorOf(c) ?? front.events.self,
    outcome: "failed",
    reason: code,
  });
  c.set("entered", true);
}

/** Only a gateway's connection passes; each request asks again, a revocation since the handshake counts. */
function gatewayOnly(front: AttestationFront): MiddlewareHandler<Env> {
  return async (c, next) => {
    const socket = c.env.incoming.socket as TLSSocket;
    const verdict = await front.identities.gateway(peerCertificate(socket));
    if (verdict.kind === "refuse") {
      front.log.warning("gateway.refused", { reason: verdict.reason, address: socket.remoteAddress });
      front.events.tell("attestation.gateway-refused", {
        actor: { kind: "address", identifier: socket.remoteAddress ?? "unknown" },
        outcome: "refused",
        reason: verdict.reason,
      });
      c.set("entered", true);
      return problemResponse("ATTEST_GATEWAY_REFUSED");
    }
    c.set("gateway", verdict.identity);
    await next();
  };
}

/** Bounds the work: how many at once, and for how long each. */
function bounded(front: AttestationFront): MiddlewareHandler<Env> {
  let working = 0;
  return async (c, next) => {
    if (front.draining()) {
      c.header("connection", "close");
      return problemResponse("ATTEST_DRAINING");
    }
    if (working >= front.limits.inFlight) return problemResponse("ATTEST_BUSY");
    working++;
    const done = next().finally(() => working--);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), front.limits.deadlineMs);
    });
    try {
      if (await Promise.race([done, deadline]) === "late") {
        done.catch((error) => {
          front.log.error("request.failed-late", { path: c.req.path, error });
          requestFailed(front, c, codeOfFailure(error));
        });
        return problemResponse("ATTEST_DEADLINE");
      }
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Sender's certificate, then the body's signature; both must name the same configured sender. */
function authenticated(front: AttestationFront): MiddlewareHandler<Env> {
  const clock = front.clock ?? SYSTEM_CLOCK;
  return async (c, next) => {
    // Public: whoever comes through a gateway, which knows its clients.
    if (c.req.method === "GET" && c.req.path === REVOCATIONS.path) return await next();
    const verdict = await front.identities.sender(c.req.header(CLIENT_CERT_HEADER));
    const refused = (code: string, reason: string, who?: string) => {
      front.log.warning("sender.refused", { code, reason, sender: who, requestId: requestId(c) });
      const listed = (SENDER_REASONS as readonly string[]).includes(reason);
      front.events.tell("attestation.sender-refused", {
        actor: who === undefined
          ? { kind: "gateway", identifier: c.var.gateway }
          : { kind: "sender", identifier: who },
        outcome: "refused",
        reason: listed ? reason : code,
      });
      c.set("entered", true);
      return problemResponse(code);
    };
    if (verdict.kind === "refuse") return refused("ATTEST_IDENTITY", verdict.reason);
    const { identity } = verdict;
    const sender = front.senders.get(identity.name);
    if (sender === undefined || sender.role !== identity.role) {
      return refused("ATTEST_IDENTITY", "not-configured", identity.name);
    }
    c.set("identity", identity);
    if (c.req.method !== "POST") return await next();

    // The signature covers the path only: what it does not cover is not taken.
    if (new URL(c.req.url).search !== "") return refused("ATTEST_SIGNATURE", "query", identity.name);
    if (!/^application\/json\s*(;|$)/i.test(c.req.header("content-type") ?? "")) {
      return problemResponse("ATTEST_MEDIA_TYPE");
    }
    const body = new Uint8Array(await c.req.arrayBuffer());
    const received = { method: c.req.method, path: c.req.path, headers: c.req.header(), body };
    const verify = (key: JsonWebKey) =>
      verifyRequest(received, {
        now: Math.floor(clock.now() / 1000),
        findKey: (keyId) => keyId === identity.name ? key : undefined,
      });
    let signed = await verify(sender.signingKey);
    if (signed.kind === "refuse" && signed.reason === "signature" && sender.previousSigningKey) {
      signed = await verify(sender.previousSigningKey);
    }
    if (signed.kind === "refuse") {
      // Who speaks is known by certificate: whoever has a wrong clock is told so, and learns nothing else.
      const clockIsWrong = signed.reason === "too-old" || signed.reason === "in-future";
      return refused(clockIsWrong ? "ATTEST_CLOCK" : "ATTEST_SIGNATURE", signed.reason, identity.name);
    }
    const idempotencyKey = idempotencyKeyOf(c.req.header(IDEMPOTENCY_KEY_HEADER));
    if (idempotencyKey === null) return problemResponse("ATTEST_IDEMPOTENCY_KEY");
    c.set("stamp", {
      sender: identity.name,
      nonce: signed.nonce,
      expiresAt: signed.expiresAt,
      requestSha256: requestDigest(c.req.method, c.req.path, body),
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      answerExpiresAt: Math.floor(clock.now() / 1000) + ANSWER_KEPT_SECONDS,
    });
    await next();
  };
}
