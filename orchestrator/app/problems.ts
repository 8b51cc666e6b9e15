/** Every failure as a problem (RFC 9457) with a stable code and what to do next. */

import { CodedError, defineErrors, errorRow } from "shared/base/errors.ts";
import { problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";

const RETRY_AFTER_SECONDS = 1;
const TITLES: Readonly<Record<number, string>> = {
  400: "The request is malformed",
  403: "This is not allowed",
  404: "There is no such thing",
  409: "This contradicts what is on record",
  413: "The body is too large",
  503: "The service is not available",
};

/** The answer for a code. */
export function problemResponse(code: string, detail?: string): Response {
  const { http: status = 500, next } = errorRow(code);
  const title = TITLES[status] ?? "The request failed";
  const body = problem(code, status, title, { ...(detail === undefined ? {} : { detail }), next });
  const headers: Record<string, string> = { "content-type": PROBLEM_MEDIA_TYPE, "cache-control": "no-store" };
  if (status === 503) headers["retry-after"] = String(RETRY_AFTER_SECONDS);
  return new Response(JSON.stringify(body), { status, headers });
}

/** The answer for a thrown value. What a fault of ours says stays in the log. */
export function failureResponse(error: unknown): Response {
  if (!(error instanceof CodedError) || error.row.http === undefined) return problemResponse("INTERNAL");
  return problemResponse(error.code, error.code.startsWith("ORCHESTRATOR_") ? error.message : undefined);
}

defineErrors({
  ORCHESTRATOR_MALFORMED: {
    fault: "usage",
    retry: false,
    http: 400,
    next: "Send what /openapi.json describes.",
  },
  ORCHESTRATOR_ROUTE_UNKNOWN: { fault: "usage", retry: false, http: 404, next: "See /openapi.json." },
  ORCHESTRATOR_BODY: { fault: "usage", retry: false, http: 413, next: "Send at most 64 KiB." },
  ORCHESTRATOR_GATEWAY: {
    fault: "configuration",
    retry: false,
    http: 403,
    next: "Connect through a gateway: its certificate, and the companion's in Client-Cert, are needed.",
  },
});
