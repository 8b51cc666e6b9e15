/**
 * The reference verifier over HTTP: a page for people, the same form for programs (`Accept: application/json`), and its keys.
 *
 * GET / and /start: the form, with `?nonce=` filled in. POST /results: the result. GET /jwks.jwt: the keys as a set signed by the
 * root, which is what providers believe; GET /.well-known/jwks.json: the same keys without signature, to look at.
 */

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { csrf } from "hono/csrf";
import { HTTPException } from "hono/http-exception";
import { secureHeaders } from "hono/secure-headers";
import { CodedError, codeOf, defineErrors, errorRow } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { VerifierKeys } from "./key_store.ts";
import { FIELDS, formPage, refusalPage, resultPage, STYLE_HASH } from "./page.ts";
import { type ResultParties, sealResult, VerificationForm } from "./result.ts";
import { ResultsGiven } from "./results_given.ts";

/** Media type of the signed set. */
export const KEY_SET_MEDIA_TYPE = "application/jwk-set+jwt";
/** Longest form, in bytes. */
export const FORM_MAX = 8192;

defineErrors({
  VERIFIER_ORIGIN: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "Only the verifier's own page, and programs, can send its form.",
  },
  VERIFIER_MALFORMED: {
    fault: "peer",
    retry: false,
    http: 400,
    next:
      "Send nonce, firstName, lastName, dateOfBirth, placeOfBirth, securityCode and confirmed=yes as a form.",
  },
});

/** What the front needs. */
export interface VerifierFront {
  readonly parties: ResultParties;
  readonly keys: VerifierKeys;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Makes the application. */
export function verifierApp({ parties, keys, clock, log }: VerifierFront): Hono {
  const app = new Hono();
  const { name } = parties.provider;
  const given = new ResultsGiven(parties.resultSeconds);
  const now = () => Math.floor(clock.now() / 1000);
  app.use(secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: [`'sha256-${STYLE_HASH}'`],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
    xFrameOptions: "DENY",
    referrerPolicy: "same-origin",
    // It may be served without TLS on loopback; who puts it behind TLS has the header there.
    strictTransportSecurity: false,
  }));
  const sameSite = csrf();
  // Programs send neither header; a page of another site cannot leave them out.
  app.use((c, next) =>
    c.req.header("origin") === undefined && c.req.header("sec-fetch-site") === undefined
      ? next()
      : sameSite(c, next)
  );
  app.use(async (c, next) => {
    await next();
    // Answers hold what a person typed, or a result.
    if (!c.res.headers.has("cache-control")) c.res.headers.set("cache-control", "no-store");
  });
  app.onError((error, c) => refuse(c, codeOfFailure(error)));
  const codeOfFailure = (error: unknown) => {
    if (error instanceof HTTPException && error.status === 403) return "VERIFIER_ORIGIN";
    if (error instanceof CodedError && error.row.http !== undefined) return error.code;
    log.error("request.failed", { code: codeOf(error) });
    return "INTERNAL";
  };
  const refuse = (c: Context, code: string) => {
    const { http = 500, next } = errorRow(code);
    const status = http as 400;
    if (!forProgram(c)) return c.html(refusalPage(name, next), status);
    const body = JSON.stringify(problem(code, status, "No result was made", { next }));
    return c.body(body, status, { "content-type": PROBLEM_MEDIA_TYPE });
  };
  const form = (c: Context) => c.html(formPage(name, { nonce: c.req.query("nonce") }));
  app.get("/", form);
  app.get("/start", form);
  app.get("/healthz", (c) => c.json({ alive: true }));
  app.get("/.well-known/jwks.json", async (c) => c.json({ keys: await keys.published(now()) }));
  app.get("/jwks.jwt", async (c) => {
    return c.body(await keys.signedSet(now()), 200, { "content-type": KEY_SET_MEDIA_TYPE });
  });
  const limit = bodyLimit({ maxSize: FORM_MAX, onError: (c) => refuse(c, "VERIFIER_MALFORMED") });
  app.post("/results", limit, async (c) => {
    const values = await fieldsOf(c);
    const read = VerificationForm.safeParse(values);
    if (!read.success) {
      log.info("form.refused", { fields: read.error.issues.map(({ path }) => path.join(".")) });
      if (forProgram(c)) return refuse(c, "VERIFIER_MALFORMED");
      const faults = new Map(
        read.error.issues.map(({ path: [field], message }) => [String(field), faultText(message)]),
      );
      return c.html(formPage(name, values, faults), 400);
    }
    const at = now();
    const sealed = await given.once(
      read.data,
      at,
      async () => await sealResult(read.data, parties, await keys.signer(at), at),
    );
    log.info("result.made");
    return forProgram(c) ? c.json(sealed) : c.html(resultPage(name, sealed));
  });
  return app;
}

function forProgram(c: Context): boolean {
  return c.req.header("accept")?.includes("application/json") ?? false;
}

const NAMES: ReadonlySet<string> = new Set([...FIELDS.map((field) => field.name), "confirmed"]);

/** The fields of the form that are texts; anything else makes the form one that is refused. */
async function fieldsOf(c: Context): Promise<Record<string, string>> {
  const body = await c.req.parseBody().catch(() => ({}));
  return Object.fromEntries(
    Object.entries(body).filter((entry): entry is [string, string] =>
      typeof entry[1] === "string" && NAMES.has(entry[0])
    ),
  );
}

/** Messages that the schema does not word itself mean that the field did not come. */
function faultText(message: string): string {
  return /^(is|must) /.test(message) ? message : "is missing";
}
