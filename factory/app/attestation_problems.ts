/** Every failure as a problem (RFC 9457) with a stable code and what to do next. */

import { HTTPException } from "hono/http-exception";
import { CodedError, errorRow } from "shared/base/errors.ts";
// For its error table: importers of the port's types alone do not load it.
import "shared/transport/hsm.ts";
import { type Problem, problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import type { RefusalReason } from "../domain/issuance/refusals.ts";
import type { ATTESTATION_ERRORS } from "./attestation_errors.ts";

/** Codes of this service's own front. */
export type FrontCode = keyof typeof ATTESTATION_ERRORS;

/** One fault of a request's body. RFC 9457 shows this extension in its section 3. */
export interface BodyFault {
  readonly detail: string;
  /** JSON pointer into the body, as a URI fragment. */
  readonly pointer: string;
}

const RETRY_AFTER_SECONDS = 2;

const TITLES: Readonly<Record<number, string>> = {
  400: "The request is malformed",
  401: "The request's signature is not accepted",
  403: "This is not allowed",
  404: "There is no such thing",
  409: "This contradicts what is on record",
  413: "The body is too large",
  415: "The media type is not supported",
  422: "The values do not hold",
  500: "The service failed",
  503: "The service is not available",
};

/** The answer for a code. */
export function problemResponse(
  code: string,
  more: { detail?: string; errors?: readonly BodyFault[]; instance?: string } = {},
): Response {
  const { http: status = 500, next } = errorRow(code);
  const { errors, ...rest } = more;
  const body: Problem & { errors?: readonly BodyFault[] } = {
    ...problem(code, status, TITLES[status] ?? "The request failed", { ...rest, next }),
    ...(errors === undefined ? {} : { errors }),
  };
  const headers: Record<string, string> = { "content-type": PROBLEM_MEDIA_TYPE, "cache-control": "no-store" };
  if (status === 503) headers["retry-after"] = String(RETRY_AFTER_SECONDS);
  return new Response(JSON.stringify(body), { status, headers });
}

/** The answer for a refused decision. */
export function refusalResponse(reason: RefusalReason): Response {
  return problemResponse(reason);
}

/** The code that a thrown value is answered with. What it says stays in the log. */
export function codeOfFailure(error: unknown): string {
  if (error instanceof HTTPException) {
    return error.status === 413 ? "ATTEST_BODY_TOO_LARGE" : "ATTEST_MALFORMED";
  }
  if (error instanceof CodedError && error.row.http !== undefined) return error.code;
  return "INTERNAL";
}
