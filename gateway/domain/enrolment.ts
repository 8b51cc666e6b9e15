/**
 * Who gets which certificate. A grant leads from the name of a bootstrap certificate to the one identity that its holder may have;
 * a renewal leads from a certificate to the same names. Every refusal has a reason for the operator and shares, where the client
 * could learn something, its problem with others.
 */

import { defineErrors, errorRow } from "shared/base/errors.ts";
import { type Problem, problem } from "shared/protocol/wire/problem.ts";
import { compileIdentityPattern } from "./identity.ts";

/** Problems that an enrolling client can see. */
export const ENROLMENT_PROBLEMS = defineErrors({
  EST_REQUEST: {
    fault: "peer",
    retry: false,
    http: 400,
    next:
      "Send base64 of a PKCS #10 request with a key on P-256 or P-384, signed with it; csrattrs says the same.",
  },
  EST_NAMES: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "Ask for the granted URI name alone or for none; to renew, ask for the current subject and names.",
  },
  EST_FORBIDDEN: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "This certificate may not do this here; give the operator the request identifier.",
  },
  EST_NOT_FOUND: {
    fault: "peer",
    retry: false,
    http: 404,
    next: "Use cacerts, csrattrs, simpleenroll or simplereenroll.",
  },
  EST_METHOD: { fault: "peer", retry: false, http: 405, next: "GET cacerts and csrattrs, POST the others." },
  EST_USED: {
    fault: "peer",
    retry: false,
    http: 409,
    next:
      "A bootstrap certificate, a key and a challenge count once: repeat the very same request, or get new ones.",
  },
  EST_TOO_LARGE: { fault: "peer", retry: false, http: 413, next: "Send a smaller request." },
  EST_MEDIA: { fault: "peer", retry: false, http: 415, next: "Send application/pkcs10." },
  EST_LIMITED: { fault: "peer", retry: true, http: 429, next: "Wait as Retry-After says." },
  EST_UNAVAILABLE: { fault: "service", retry: true, http: 503, next: "Wait as Retry-After says." },
});

/** Code of a problem. */
export type EnrolmentProblem = keyof typeof ENROLMENT_PROBLEMS;

/** Reason -> what the client sees. */
export const ENROLMENT_REFUSALS = {
  "request-malformed": "EST_REQUEST",
  "request-incomplete": "EST_REQUEST",
  "request-key": "EST_REQUEST",
  "request-proof": "EST_REQUEST",
  "request-extension": "EST_REQUEST",
  "request-too-large": "EST_TOO_LARGE",
  "request-media-type": "EST_MEDIA",
  "message-malformed": "EST_REQUEST",
  "names-not-granted": "EST_NAMES",
  "names-changed": "EST_NAMES",
  "path-unknown": "EST_NOT_FOUND",
  "method-not-allowed": "EST_METHOD",
  "bootstrap-not-granted": "EST_FORBIDDEN",
  "certificate-not-issued-here": "EST_FORBIDDEN",
  "device-proof-missing": "EST_FORBIDDEN",
  "device-proof-wrong": "EST_FORBIDDEN",
  "challenge-unknown": "EST_USED",
  "bootstrap-used": "EST_USED",
  "key-used": "EST_USED",
  "request-replayed": "EST_USED",
  "rate-limited": "EST_LIMITED",
  "not-ready": "EST_UNAVAILABLE",
  "store-unavailable": "EST_UNAVAILABLE",
  "token-unavailable": "EST_UNAVAILABLE",
  "internal": "EST_UNAVAILABLE",
} as const satisfies Record<string, EnrolmentProblem>;

/** Why an enrolment is refused. */
export type EnrolmentRefusal = keyof typeof ENROLMENT_REFUSALS;

/** The problem of a refusal. */
export function enrolmentProblem(reason: EnrolmentRefusal, requestId: string): Problem {
  const code = ENROLMENT_REFUSALS[reason];
  const row = errorRow(code);
  return problem(code, row.http ?? 500, "The certificate was not issued", {
    instance: `urn:uuid:${requestId}`,
    next: row.next,
  });
}

/** A rule: holders of these bootstrap certificates may have these identities. */
export interface Grant {
  readonly name: string;
  /** Configured names of the authorities that may vouch for the bootstrap certificate. */
  readonly authorities: readonly string[];
  /** URI of the bootstrap certificate, with at most one star. */
  readonly bootstrap: string;
  /** The identity; its star is what stood at the other star. */
  readonly identity: string;
  readonly lifetimeMs: number;
}

/** What a client may have. */
export interface Granted {
  readonly grant: string;
  readonly identity: string;
  readonly lifetimeMs: number;
}

/** The first grant that fits a bootstrap certificate. */
export function decideGrant(
  grants: readonly Grant[],
  client: { readonly identity: string; readonly group: string | undefined },
): Granted | undefined {
  for (const grant of grants) {
    if (client.group === undefined || !grant.authorities.includes(client.group)) continue;
    if (!compileIdentityPattern(grant.bootstrap)(client.identity)) continue;
    const star = grant.bootstrap.indexOf("*");
    const after = grant.bootstrap.length - star - 1;
    const segment = star < 0 ? "" : client.identity.slice(star, client.identity.length - after);
    return {
      grant: grant.name,
      identity: grant.identity.replace("*", () => segment),
      lifetimeMs: grant.lifetimeMs,
    };
  }
  return undefined;
}

/** Names of a request or a certificate. */
export interface RequestedNames {
  readonly subject: readonly Readonly<Record<string, readonly string[]>>[];
  readonly names: readonly { readonly type: string; readonly value: string }[];
}

/** Common name of an identity's certificates: its last segment, at most 64 characters (RFC 5280, A.1). */
export function nameOf(identity: string): string {
  return identity.split(/[:/]/).at(-1)!.slice(0, 64);
}

/** Whether a first request asks for nothing but what is granted. */
export function asksForGranted(request: RequestedNames, identity: string): boolean {
  const names = request.names.length === 0 ||
    (request.names.length === 1 && request.names[0]!.type === "url" && request.names[0]!.value === identity);
  const subject = JSON.stringify(request.subject);
  const allowed = [[], [{ CN: [nameOf(identity)] }], [{ CN: [identity] }]].map((each) =>
    JSON.stringify(each)
  );
  return names && allowed.includes(subject);
}

/** Whether a renewal asks for the very names of the current certificate (RFC 7030, 4.2.2). */
export function asksForSame(request: RequestedNames, current: RequestedNames): boolean {
  const form = ({ subject, names }: RequestedNames) =>
    JSON.stringify([subject, names.map(({ type, value }) => [type, value]).sort()]);
  return form(request) === form(current);
}
