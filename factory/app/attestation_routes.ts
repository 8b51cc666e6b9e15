/** The attestation service's routes, described once for both the validator and /openapi.json. */

import { createRoute, z } from "@hono/zod-openapi";
import {
  AttestationAnswer,
  AttestationRequest,
  BatchAnswer,
  BatchName,
  CardKeysAnswer,
  CardKeysRequest,
  ClosureAnswer,
  ClosureRequest,
  CreateBatchRequest,
  HostCertificateAnswer,
  HostCertificateRequest,
  InstallationAnswer,
  InstallationRequest,
  ReservationAnswer,
  ReservationRequest,
} from "shared/protocol/wire/attestation.ts";
import {
  BatchCardsAnswer,
  BatchCardsRequest,
  BatchRecordsAnswer,
  BatchRecordsRequest,
  BatchReportAnswer,
  BatchReportRequest,
  CloseBatchAnswer,
  CloseBatchRequest,
  OpenBatchAnswer,
  OpenBatchRequest,
  RecordKeyAnswer,
  RecordKeyRequest,
} from "shared/protocol/wire/batch.ts";
import { REVOCATION_LIST_MEDIA_TYPE } from "shared/protocol/recovery_key/revocation_list.ts";
import { Problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";

const problems = Object.fromEntries(
  ([
    [400, "The body is malformed; `errors` points at what is wrong"],
    [401, "The signature is missing, wrong, old or was used before"],
    [403, "This sender may not do this"],
    [404, "Unknown batch or reservation"],
    [409, "It contradicts what is on record"],
    [413, "More than 64 KiB"],
    [415, "Not application/json"],
    [422, "The card's values do not hold"],
    [503, "Token or database away: try again after Retry-After"],
  ] as const).map(([status, description]) => [
    status,
    { description, content: { [PROBLEM_MEDIA_TYPE]: { schema: Problem } } },
  ]),
);

function post<const P extends string, B extends z.ZodType, A extends z.ZodType>(
  path: P,
  role: string,
  summary: string,
  request: B,
  answer: A,
) {
  return createRoute({
    method: "post",
    path,
    summary,
    description: `Role: ${role}. The body is signed (RFC 9421) with the sender's Ed25519 key.`,
    security: [{ clientCertificate: [], signature: [] }],
    request: { body: { required: true, content: { "application/json": { schema: request } } } },
    responses: {
      200: { description: "Done", content: { "application/json": { schema: answer } } },
      ...problems,
    },
  });
}

/** POST /v1/batches. */
export const CREATE_BATCH = post(
  "/v1/batches",
  "batch-manager",
  "Create a batch with a serial range of its own; by name, the same request again answers the same batch",
  CreateBatchRequest,
  BatchAnswer,
);
/** GET /v1/batches/{batch}. */
export const READ_BATCH = createRoute({
  method: "get",
  path: "/v1/batches/{batch}",
  summary: "Read a batch and how far it is",
  description: "Role: batch-manager or station. Not signed: it changes nothing.",
  security: [{ clientCertificate: [] }],
  request: { params: z.object({ batch: BatchName }) },
  responses: {
    200: { description: "Done", content: { "application/json": { schema: BatchAnswer } } },
    ...problems,
  },
});
/** POST /v1/card-keys. */
export const CARD_KEYS = post(
  "/v1/card-keys",
  "station",
  "Diversify the transport keys of one card inside the HSM, sealed to the station",
  CardKeysRequest,
  CardKeysAnswer,
);
/** POST /v1/reservations. */
export const RESERVE = post(
  "/v1/reservations",
  "station",
  "Reserve a serial for a chip and draw its DGI 8137 key, sealed to the station",
  ReservationRequest,
  ReservationAnswer,
);
/** POST /v1/attestations. */
export const ATTEST = post(
  "/v1/attestations",
  "station",
  "Check a card's public key and certify it",
  AttestationRequest,
  AttestationAnswer,
);
/** POST /v1/installations. */
export const INSTALL = post(
  "/v1/installations",
  "station",
  "Report that a card holds its certificate",
  InstallationRequest,
  InstallationAnswer,
);
/** POST /v1/closures. */
export const CLOSE = post(
  "/v1/closures",
  "station",
  "Close a card's record",
  ClosureRequest,
  ClosureAnswer,
);
/** POST /v1/host-certificates. */
export const HOST_CERTIFICATE = post(
  "/v1/host-certificates",
  "station",
  "Certify the static key of the station's own test wallet",
  HostCertificateRequest,
  HostCertificateAnswer,
);
/** POST /v1/batch-openings. */
export const OPEN_BATCH = post(
  "/v1/batch-openings",
  "batch-manager",
  "Let a held batch go on",
  OpenBatchRequest,
  OpenBatchAnswer,
);
/** POST /v1/batch-closings. */
export const CLOSE_BATCH = post(
  "/v1/batch-closings",
  "batch-manager",
  "Close a batch whose cards are all accounted for; cards in flight are listed, or declared missing",
  CloseBatchRequest,
  CloseBatchAnswer,
);
/** POST /v1/batch-reports. */
export const BATCH_REPORT = post(
  "/v1/batch-reports",
  "batch-manager",
  "Counts, reasons, stations and history of a batch",
  BatchReportRequest,
  BatchReportAnswer,
);
/** POST /v1/batch-cards. */
export const BATCH_CARDS = post(
  "/v1/batch-cards",
  "batch-manager",
  "A page of a batch's cards in the order of their serials",
  BatchCardsRequest,
  BatchCardsAnswer,
);
/** POST /v1/batch-records. */
export const BATCH_RECORDS = post(
  "/v1/batch-records",
  "batch-manager",
  "A page of a batch's signed records in the order of their serials",
  BatchRecordsRequest,
  BatchRecordsAnswer,
);
/** POST /v1/record-keys. */
export const RECORD_KEY = post(
  "/v1/record-keys",
  "batch-manager",
  "The public key that records are signed with",
  RecordKeyRequest,
  RecordKeyAnswer,
);
/** GET /v1/revocations. */
export const REVOCATIONS = createRoute({
  method: "get",
  path: "/v1/revocations",
  summary: "The list of revoked card certificates, for wallets",
  description:
    "No role: whoever reaches a gateway, or a mirror. A compact JWS (ES256K) by the issuer's key, with number, thisUpdate and nextUpdate. It has an ETag and may be kept by caches for a minute.",
  responses: {
    200: {
      description: "The list",
      content: { [REVOCATION_LIST_MEDIA_TYPE]: { schema: z.string() } },
    },
    304: { description: "If-None-Match names the present list" },
    503: problems["503"]!,
  },
});
