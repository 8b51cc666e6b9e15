/**
 * Every refusal of the gateway as data: the reason, which the operator reads in log and metrics, and the
 * problem, which is all that the client learns. Many reasons share one problem on purpose.
 */

import { defineErrors, errorRow } from "shared/base/errors.ts";
import { type Problem, problem } from "shared/protocol/wire/problem.ts";

/** Problems that a client can see. */
export const GATEWAY_PROBLEMS = defineErrors({
  GATEWAY_BAD_REQUEST: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "Send a plain HTTP/1.1 request: one Host, one kind of framing, a normal path.",
  },
  GATEWAY_UNDESCRIBED: {
    fault: "peer",
    retry: false,
    http: 400,
    next:
      "Compare the request with the description of the interface; give the operator the request identifier.",
  },
  GATEWAY_FORBIDDEN: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "Ask the operator which route this certificate may use; give the request identifier.",
  },
  GATEWAY_NOT_FOUND: { fault: "peer", retry: false, http: 404, next: "Check the path." },
  GATEWAY_METHOD: { fault: "peer", retry: false, http: 405, next: "Use a method that Allow names." },
  GATEWAY_TIMEOUT: { fault: "peer", retry: true, http: 408, next: "Send the whole request without pausing." },
  GATEWAY_TOO_LARGE: { fault: "peer", retry: false, http: 413, next: "Send a smaller body." },
  GATEWAY_URI_TOO_LONG: { fault: "peer", retry: false, http: 414, next: "Send a shorter path and query." },
  GATEWAY_MEDIA_TYPE: { fault: "peer", retry: false, http: 415, next: "Send the media type of this route." },
  GATEWAY_EXPECTATION: { fault: "peer", retry: false, http: 417, next: "Leave the Expect header out." },
  GATEWAY_LIMITED: { fault: "peer", retry: true, http: 429, next: "Wait as Retry-After says." },
  GATEWAY_HEADERS_TOO_LARGE: {
    fault: "peer",
    retry: false,
    http: 431,
    next: "Send fewer and shorter headers.",
  },
  GATEWAY_INTERNAL: {
    fault: "bug",
    retry: true,
    http: 500,
    next: "Give the operator the request identifier.",
  },
  GATEWAY_UPSTREAM_LOST: {
    fault: "service",
    retry: true,
    http: 502,
    next: "The request may have been carried out: ask before you send it again, or send an Idempotency-Key.",
  },
  GATEWAY_UNAVAILABLE: { fault: "service", retry: true, http: 503, next: "Wait as Retry-After says." },
  GATEWAY_DEADLINE: {
    fault: "service",
    retry: true,
    http: 504,
    next: "The request may have been carried out: ask before you send it again, or send an Idempotency-Key.",
  },
});

/** Code of a problem. */
export type ProblemCode = keyof typeof GATEWAY_PROBLEMS;

const TITLES: Readonly<Record<ProblemCode, string>> = {
  GATEWAY_BAD_REQUEST: "The request is not well formed",
  GATEWAY_UNDESCRIBED: "The interface has no such request",
  GATEWAY_FORBIDDEN: "This is not allowed",
  GATEWAY_NOT_FOUND: "There is nothing here",
  GATEWAY_METHOD: "This method is not allowed here",
  GATEWAY_TIMEOUT: "The request took too long to arrive",
  GATEWAY_TOO_LARGE: "The body is too large",
  GATEWAY_URI_TOO_LONG: "The path is too long",
  GATEWAY_MEDIA_TYPE: "This media type is not accepted here",
  GATEWAY_EXPECTATION: "This expectation cannot be met",
  GATEWAY_LIMITED: "Too many requests",
  GATEWAY_HEADERS_TOO_LARGE: "The headers are too large",
  GATEWAY_INTERNAL: "Something went wrong",
  GATEWAY_UPSTREAM_LOST: "The service did not answer",
  GATEWAY_UNAVAILABLE: "The service is not available",
  GATEWAY_DEADLINE: "The service did not answer in time",
};

/** One reason: its problem, and whether the connection is worth keeping afterwards. */
interface ReasonRow {
  readonly problem: ProblemCode;
  readonly close: boolean;
}

const malformed: ReasonRow = { problem: "GATEWAY_BAD_REQUEST", close: true };

/** The head was sound, so the connection is; which rule it was is for the operator alone. */
const undescribed: ReasonRow = { problem: "GATEWAY_UNDESCRIBED", close: false };

/** Reason -> what the client sees. A reason is stable: dashboards and alerts are built on it. */
export const REFUSALS = {
  "malformed-message": malformed,
  "leading-line": malformed,
  "request-line": malformed,
  "line-ending": malformed,
  "header-folding": malformed,
  "chunk-size": malformed,
  "chunk-extension": malformed,
  "chunk-ending": malformed,
  "trailers": malformed,
  "upgrade": malformed,
  "connection-option": malformed,
  "http-version": malformed,
  "method-unknown": malformed,
  "target-form": malformed,
  "target-characters": malformed,
  "target-encoding": malformed,
  "target-dot-segment": malformed,
  "target-empty-segment": malformed,
  "target-too-long": { problem: "GATEWAY_URI_TOO_LONG", close: true },
  "host-missing": malformed,
  "host-duplicate": malformed,
  "host-malformed": malformed,
  "framing-conflict": malformed,
  "framing-malformed": malformed,
  "framing-http-1.0": malformed,
  "body-unexpected": malformed,
  "body-incomplete": malformed,
  "header-name": malformed,
  "header-lookalike": malformed,
  "header-value": malformed,
  "header-duplicate": malformed,
  "headers-too-many": { problem: "GATEWAY_HEADERS_TOO_LARGE", close: true },
  "headers-too-large": { problem: "GATEWAY_HEADERS_TOO_LARGE", close: true },
  "request-timeout": { problem: "GATEWAY_TIMEOUT", close: true },
  "expectation-unknown": { problem: "GATEWAY_EXPECTATION", close: true },
  "not-ready": { problem: "GATEWAY_UNAVAILABLE", close: true },
  "route-unknown": { problem: "GATEWAY_NOT_FOUND", close: false },
  "method-not-allowed": { problem: "GATEWAY_METHOD", close: false },
  "media-type": { problem: "GATEWAY_MEDIA_TYPE", close: false },
  "network-not-allowed": { problem: "GATEWAY_FORBIDDEN", close: false },
  "authority-not-allowed": { problem: "GATEWAY_FORBIDDEN", close: false },
  "identity-not-allowed": { problem: "GATEWAY_FORBIDDEN", close: false },
  "role-authority-not-allowed": { problem: "GATEWAY_FORBIDDEN", close: false },
  "rate-limited": { problem: "GATEWAY_LIMITED", close: false },
  "rate-store-full": { problem: "GATEWAY_UNAVAILABLE", close: false },
  "rate-store-gone": { problem: "GATEWAY_UNAVAILABLE", close: false },
  "concurrency-limited": { problem: "GATEWAY_LIMITED", close: false },
  "backup-identifier": malformed,
  "address-denied": { problem: "GATEWAY_FORBIDDEN", close: true },
  "address-banned": { problem: "GATEWAY_LIMITED", close: true },
  "forwarded-malformed": malformed,
  "overloaded": { problem: "GATEWAY_UNAVAILABLE", close: false },
  "body-too-large": { problem: "GATEWAY_TOO_LARGE", close: true },
  "api-path": { problem: "GATEWAY_NOT_FOUND", close: false },
  "api-method": { problem: "GATEWAY_METHOD", close: false },
  "api-media-type": { problem: "GATEWAY_MEDIA_TYPE", close: false },
  "api-charset": { problem: "GATEWAY_MEDIA_TYPE", close: false },
  "api-content-encoding": { problem: "GATEWAY_MEDIA_TYPE", close: false },
  "api-path-parameter": undescribed,
  "api-query": undescribed,
  "api-query-unknown": undescribed,
  "api-query-duplicate": undescribed,
  "api-query-missing": undescribed,
  "api-header": undescribed,
  "api-body-missing": undescribed,
  "api-body-unexpected": undescribed,
  "api-schema": undescribed,
  "json-encoding": undescribed,
  "json-syntax": undescribed,
  "json-depth": undescribed,
  "json-duplicate-key": undescribed,
  "json-prototype-key": undescribed,
  "json-number": undescribed,
  "json-string": undescribed,
  "upstream-none": { problem: "GATEWAY_UNAVAILABLE", close: false },
  "upstream-busy": { problem: "GATEWAY_UNAVAILABLE", close: false },
  "upstream-lost": { problem: "GATEWAY_UPSTREAM_LOST", close: false },
  "upstream-deadline": { problem: "GATEWAY_DEADLINE", close: false },
  "internal": { problem: "GATEWAY_INTERNAL", close: true },
} as const satisfies Record<string, ReasonRow>;

/** Why a request is refused. */
export type RefusalReason = keyof typeof REFUSALS;

/** A refused request. `headers` go to the client with the problem. */
export interface Refusal {
  readonly kind: "refuse";
  readonly reason: RefusalReason;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the operator alone: which parameter or part of the body, and how; never a value. */
  readonly detail?: string;
}

/** Makes a refusal. */
export function refuse(reason: RefusalReason, headers?: Readonly<Record<string, string>>): Refusal {
  return { kind: "refuse", reason, ...(headers === undefined ? {} : { headers }) };
}

/** The problem of a refusal; `requestId` lets the operator find the reason. */
export function problemOf(reason: RefusalReason, requestId: string): Problem {
  const code = REFUSALS[reason].problem;
  const row = errorRow(code);
  return problem(code, row.http ?? 500, TITLES[code], {
    instance: `urn:uuid:${requestId}`,
    next: row.next,
  });
}
