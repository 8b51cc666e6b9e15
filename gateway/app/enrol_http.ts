/** Requests of enrolling clients, and their answers: EST over HTTP (RFC 7030, section 3.2), nothing else. */

import { codeOf } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import type { EventLog } from "shared/log/writer/event_log.ts";
import { PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import { enrolmentProblem, type EnrolmentRefusal } from "../domain/enrolment.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import { readRequestBody } from "../protocol/certificate_request.ts";
import { DEVICE_PROOF_HEADER } from "../protocol/device_proof.ts";
import { certificatesOnly, EST_MEDIA, requestAttributes, toBody } from "../protocol/est.ts";
import type { EnrollingClient, Enrolment, EnrolmentOutcome } from "../service/enrolment.ts";
import { readBody } from "../transport/body.ts";
import type { Http1Answer } from "../transport/http1/answer.ts";
import type { Http1Request } from "../transport/http1/request.ts";

/** Longest body of a request, in bytes: base64 of the longest PKCS #10. */
const BODY_LIMIT_BYTES = 16_384;
const BASE = "/.well-known/est";
const WALLET = `${BASE}/wallet`;

/** What requests are answered with. */
export interface EstContext {
  readonly enrolment: () => Enrolment;
  /** DER of the issuing authority. */
  readonly authority: Uint8Array;
  readonly logger: Logger;
  /** The process's tamper-evident log. */
  readonly events: EventLog;
  /** Whole seconds to wait; undefined lets the request through. */
  readonly limited: (identity: string) => number | undefined;
  /** Whether connections are to be closed. */
  readonly closing: () => boolean;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

type Outcome = Answer | {
  readonly refuse: EnrolmentRefusal;
  readonly headers?: Readonly<Record<string, string>>;
};

/** One request of a verified client. */
export interface EstRequest {
  readonly client: EnrollingClient;
  readonly strict: StrictRequest;
  readonly incoming: Http1Request;
  readonly outgoing: Http1Answer;
  readonly wantsContinue: boolean;
}

/** One kind of request. */
interface Endpoint {
  readonly method: "GET" | "POST";
  readonly answer: (context: EstContext, asked: EstRequest) => Promise<Outcome>;
}

const base64 = (type: string, bytes: Uint8Array): Answer => ({
  status: 200,
  type,
  body: toBody(bytes),
  headers: { "content-transfer-encoding": "base64" },
});

const enrolling = (
  how: (enrolment: Enrolment, asked: EstRequest, request: Uint8Array) => Promise<EnrolmentOutcome>,
): Endpoint => ({
  method: "POST",
  answer: async (context, asked) => {
    const request = await requestOf(asked);
    if (!(request instanceof Uint8Array)) return request;
    const outcome = await how(context.enrolment(), asked, request);
    if (outcome.kind === "refuse") return { refuse: outcome.reason };
    const { identity, repeated } = outcome;
    const by = asked.client.verdict.identity;
    // Without the entry nobody sees the certificate; the same request asks for it again.
    await context.events.record("gateway.certificate-issued", {
      actor: { kind: "client", identifier: by },
      subject: { kind: "client", identifier: identity },
    });
    context.logger.info("certificate-issued", { identity, repeated, by });
    return base64(EST_MEDIA.certificates, certificatesOnly([outcome.certificate]));
  },
});

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  [`${BASE}/cacerts`]: {
    method: "GET",
    answer: ({ authority }) => Promise.resolve(base64(EST_MEDIA.certificates, certificatesOnly([authority]))),
  },
  [`${BASE}/csrattrs`]: {
    method: "GET",
    answer: () => Promise.resolve(base64(EST_MEDIA.attributes, requestAttributes())),
  },
  [`${BASE}/simpleenroll`]: enrolling((enrolment, { client }, request) => enrolment.enrol(client, request)),
  [`${BASE}/simplereenroll`]: enrolling((enrolment, { client }, request) => enrolment.renew(client, request)),
  [`${WALLET}/simpleenroll`]: enrolling((enrolment, { client, strict }, request) => {
    const proofs = strict.headers.filter(([name]) => name === DEVICE_PROOF_HEADER);
    return enrolment.enrolWallet(client, request, proofs.length === 1 ? proofs[0]![1] : undefined);
  }),
  [`${WALLET}/challenge`]: {
    method: "POST",
    answer: async (context, { client }) => {
      const made = await context.enrolment().challenge(client);
      if (made === undefined) return { refuse: "bootstrap-not-granted" };
      const challenge = made.challenge.toBase64({ alphabet: "base64url", omitPadding: true });
      const body = JSON.stringify({ challenge, expiresInSeconds: Math.floor(made.lifetimeMs / 1000) });
      return { status: 200, type: "application/json", body };
    },
  },
};

async function requestOf(
  { strict, incoming, outgoing, wantsContinue }: EstRequest,
): Promise<Uint8Array | Outcome> {
  const [type] = (strict.headers.find(([name]) => name === "content-type")?.[1] ?? "").toLowerCase().split(
    ";",
    1,
  );
  if (type?.trim() !== EST_MEDIA.request) return { refuse: "request-media-type" };
  if ((strict.declaredLength ?? 0) > BODY_LIMIT_BYTES) return { refuse: "request-too-large" };
  if (wantsContinue) outgoing.writeContinue();
  const read = await readBody(incoming, BODY_LIMIT_BYTES);
  if (read.kind !== "body") {
    return { refuse: read.kind === "too-large" ? "request-too-large" : "request-incomplete" };
  }
  return readRequestBody(read.bytes) ?? { refuse: "request-malformed" };
}

/** Answers one request of a verified client. Never rejects. */
export async function serveEst(
  context: EstContext,
  asked: EstRequest,
): Promise<void> {
  const { client, strict, incoming, outgoing } = asked;
  const requestId = crypto.randomUUID();
  const outcome = await answer(context, asked).catch((error): Outcome => {
    const code = codeOf(error);
    context.logger.error("enrolment-fault", { requestId, code, error });
    context.events.tell("gateway.enrolment-fault", {
      actor: context.events.self,
      outcome: "failed",
      reason: code,
    });
    const reason = /^(DATABASE|LOG|EVENT_LOG)_/.test(code)
      ? "store-unavailable"
      : code.startsWith("HSM_")
      ? "token-unavailable"
      : "internal";
    return { refuse: reason, headers: { "retry-after": "5" } };
  });
  const reason = "refuse" in outcome ? outcome.refuse : undefined;
  if (reason !== undefined) {
    const actor = { kind: "client", identifier: client.verdict.identity } as const;
    context.events.tell("gateway.enrolment-refused", { actor, outcome: "refused", reason });
  }
  const { status, type, body } = reason === undefined ? outcome as Answer : problemAnswer(reason, requestId);
  context.logger.info("enrolment-request", {
    requestId,
    identity: client.verdict.identity,
    fingerprint: client.verdict.fingerprint,
    method: strict.method,
    path: strict.path,
    status,
    ...(reason === undefined ? {} : { reason }),
  });
  if (outgoing.destroyed || outgoing.headersSent) return void outgoing.destroy();
  const unread = !incoming.complete;
  const bytes = new TextEncoder().encode(body);
  const fields = {
    "content-type": type,
    "content-length": String(bytes.length),
    "cache-control": "no-store",
    "x-request-id": requestId,
    ...outcome.headers,
    ...(unread || context.closing() ? { connection: "close" } : {}),
  };
  outgoing.writeHead(status, Object.entries(fields).flat());
  if (!unread) return void outgoing.end(bytes);
  // What the client still sends is read for a moment: else a reset could overtake the answer.
  outgoing.write(bytes);
  incoming.resume();
  const timer = setTimeout(() => outgoing.end(), LINGER_MS);
  incoming.on("end", () => outgoing.end());
  outgoing.on("close", () => clearTimeout(timer));
}

const LINGER_MS = 500;

function problemAnswer(reason: EnrolmentRefusal, requestId: string): Answer {
  const problem = enrolmentProblem(reason, requestId);
  return { status: problem.status, type: PROBLEM_MEDIA_TYPE, body: JSON.stringify(problem) };
}

async function answer(
  context: EstContext,
  asked: EstRequest,
): Promise<Outcome> {
  const { client, strict } = asked;
  const endpoint = Object.hasOwn(ENDPOINTS, strict.path) ? ENDPOINTS[strict.path] : undefined;
  if (endpoint === undefined || strict.query !== "") return { refuse: "path-unknown" };
  if (strict.method !== endpoint.method) {
    return { refuse: "method-not-allowed", headers: { allow: endpoint.method } };
  }
  const wait = context.limited(client.verdict.identity);
  if (wait !== undefined) return { refuse: "rate-limited", headers: { "retry-after": String(wait) } };
  return await endpoint.answer(context, asked);
}
