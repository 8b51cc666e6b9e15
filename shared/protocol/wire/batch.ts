/** What a batch manager and the attestation service say to one another about batches. Byte strings are upper-case hex. */

import { z } from "zod";
import { BatchLimits, BatchName, hexBytes, ReservationId, StationName } from "./attestation.ts";

/** Cards of one page at most. */
export const BATCH_PAGE_MAX = 500;
/** Longest answer of these requests, in bytes: a page of signed records. */
export const BATCH_ANSWER_MAX_BYTES = 4 * 1024 * 1024;

const Reason = z.string().min(1).max(200);
const CardStates = z.enum(["reserved", "key-seen", "attested", "installed", "good", "scrapped", "missing"]);

/** POST /v1/batch-openings: lets a held batch go on. */
export const OpenBatchRequest = z.strictObject({ batch: BatchName, reason: Reason });
/** Answer of POST /v1/batch-openings. */
export const OpenBatchAnswer = z.strictObject({ batch: BatchName, state: z.literal("open") });

/** Serials that one request names as missing at most: they fit into its body. Any number goes as `all`. */
export const NAMED_MISSING_MAX = 4000;

/** POST /v1/batch-closings: closes a batch; repeat it while `missingToDeclare` or `recordsToSign` is above 0. */
export const CloseBatchRequest = z.strictObject({
  batch: BatchName,
  /** Cards that have not ended and are declared missing: none, all, or these serials. */
  missing: z.union([z.enum(["none", "all"]), z.array(hexBytes(4)).min(1).max(NAMED_MISSING_MAX)]),
  /** Serials that no card was given are given up for good: without this a batch that has such stays open. */
  giveUpUnused: z.boolean().default(false),
  /** Why cards are missing, or serials are given up. */
  reason: Reason.nullable(),
});

/** A card of a batch. */
export const BatchCard = z.strictObject({
  serial: hexBytes(4),
  state: CardStates,
  station: StationName,
  reservation: ReservationId,
  reason: z.string().nullable(),
  certificateSha256: hexBytes(32).nullable(),
  changedAt: z.iso.datetime(),
});

/** Answer of POST /v1/batch-closings. */
export const CloseBatchAnswer = z.strictObject({
  batch: BatchName,
  closed: z.boolean(),
  /** Cards that have not ended and were not declared missing: the batch stays as it is. */
  inFlight: z.int(),
  /** The first of them. */
  cards: z.array(BatchCard).max(100),
  /** Cards that are to be declared missing before it closes, as the request says. */
  missingToDeclare: z.int(),
  /** Records that are to be signed before it closes. */
  recordsToSign: z.int(),
  /** The manifest of a closed batch, compact JWS. */
  manifest: z.string().nullable(),
});

/** POST /v1/batch-reports. */
export const BatchReportRequest = z.strictObject({ batch: BatchName });

/** Cards of one station, state and reason. */
export const BatchGroup = z.strictObject({
  station: StationName,
  state: CardStates,
  reason: z.string().nullable(),
  cards: z.int(),
  /** Records that were closed within the last hour. */
  lastHour: z.int(),
  firstReservedAt: z.iso.datetime(),
  lastClosedAt: z.iso.datetime().nullable(),
});

/** Answer of POST /v1/batch-reports. */
export const BatchReportAnswer = z.strictObject({
  batch: BatchName,
  state: z.enum(["held", "open", "closed"]),
  quantity: z.int(),
  profileName: z.string(),
  profileSha256: hexBytes(32),
  firstSerial: hexBytes(4),
  lastSerial: hexBytes(4),
  /** First serial that no card has; null when every one is given out. */
  nextSerial: hexBytes(4).nullable(),
  limits: BatchLimits,
  createdAt: z.iso.datetime(),
  /** The service's time. */
  at: z.iso.datetime(),
  groups: z.array(BatchGroup),
  /** Which stations may work on it, what each may take and took; empty: every station, as much as there is. */
  stations: z.array(z.strictObject({ name: StationName, quota: z.int().nullable(), reserved: z.int() })),
  /** What happened to the batch, in order. */
  journal: z.array(z.strictObject({
    event: z.string(),
    state: z.enum(["held", "open", "closed"]),
    sender: StationName,
    reason: z.string().nullable(),
    /** What failures shared when judgement stopped it. */
    shared: z.array(z.string()),
    at: z.iso.datetime(),
  })),
  /** Signed records so far. */
  recordsSigned: z.int(),
  manifest: z.string().nullable(),
});

/** POST /v1/batch-cards: a page of a batch's cards in the order of their serials. */
export const BatchCardsRequest = z.strictObject({
  batch: BatchName,
  /** The last serial of the page before; null for the first page. */
  after: hexBytes(4).nullable(),
  limit: z.int().min(1).max(BATCH_PAGE_MAX),
  inFlight: z.boolean().default(false),
});
/** Answer of POST /v1/batch-cards. */
export const BatchCardsAnswer = z.strictObject({ cards: z.array(BatchCard).max(BATCH_PAGE_MAX) });

/** POST /v1/batch-records: a page of the signed records of a closed batch, in the order of their serials. */
export const BatchRecordsRequest = z.strictObject({
  batch: BatchName,
  after: hexBytes(4).nullable(),
  limit: z.int().min(1).max(BATCH_PAGE_MAX),
});
/** Answer of POST /v1/batch-records. */
export const BatchRecordsAnswer = z.strictObject({
  records: z.array(z.strictObject({ serial: hexBytes(4), record: z.string() })).max(BATCH_PAGE_MAX),
});

/** POST /v1/record-keys: the key that records are signed with. */
export const RecordKeyRequest = z.strictObject({});
/** Answer of POST /v1/record-keys. */
export const RecordKeyAnswer = z.strictObject({
  jwk: z.strictObject({ kty: z.literal("EC"), crv: z.literal("P-256"), x: z.string(), y: z.string() }),
  /** RFC 7638, SHA-256, base64url. */
  thumbprint: z.string(),
});

export type BatchCard = z.infer<typeof BatchCard>;
export type OpenBatchRequest = z.infer<typeof OpenBatchRequest>;
export type OpenBatchAnswer = z.infer<typeof OpenBatchAnswer>;
export type CloseBatchRequest = z.input<typeof CloseBatchRequest>;
export type CloseBatchAnswer = z.infer<typeof CloseBatchAnswer>;
export type BatchReportRequest = z.infer<typeof BatchReportRequest>;
export type BatchGroup = z.infer<typeof BatchGroup>;
export type BatchReportAnswer = z.infer<typeof BatchReportAnswer>;
export type BatchCardsRequest = z.infer<typeof BatchCardsRequest>;
export type BatchCardsAnswer = z.infer<typeof BatchCardsAnswer>;
export type BatchRecordsRequest = z.infer<typeof BatchRecordsRequest>;
export type BatchRecordsAnswer = z.infer<typeof BatchRecordsAnswer>;
export type RecordKeyRequest = z.infer<typeof RecordKeyRequest>;
export type RecordKeyAnswer = z.infer<typeof RecordKeyAnswer>;
