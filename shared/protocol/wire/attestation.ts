/**
 * Requests and answers between station and attestation service (behind the gateway), as schemas.
 * Byte strings are upper-case hex. Sealed values are compact JWE (ECDH-ES, A256GCM) to the station's
 * sealing key, so that the gateway, which ends TLS, cannot read them.
 */

import { z } from "zod";

/** Upper-case hex of a fixed number of bytes. */
export const hexBytes = (length: number): z.ZodString =>
  z.string().regex(new RegExp(`^[0-9A-F]{${2 * length}}$`));
/** Upper-case hex of a number of bytes between bounds. */
export const hexRange = (from: number, to: number): z.ZodString =>
  z.string().regex(new RegExp(`^([0-9A-F]{2}){${from},${to}}$`));

/** Batch names are safe in paths, file names and URLs. */
export const BatchName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/);
/** Station names likewise. */
export const StationName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/);
/** Reservation identifiers are UUIDs. */
export const ReservationId = z.uuid();

/** What identifies a chip: CPLC (42) where the card has it, and the key diversification data (10). */
export const Chip = z.strictObject({
  cplc: hexBytes(42).nullable(),
  keyDiversificationData: hexBytes(10),
});

/** When a batch stops by itself: see the factory's `JudgementLimits`. */
export const BatchLimits = z.strictObject({
  scrappedInRow: z.int().min(1).max(1000).nullable(),
  yieldPercent: z.int().min(0).max(100).nullable(),
  yieldAfterCards: z.int().min(1).max(1000),
  yieldWindowCards: z.int().min(1).max(1000),
});

/** Life cycle of the applet (spec/card.md, section 3). */
export const LifeCycle = z.int().min(0).max(3);

/** POST /v1/batches. */
export const CreateBatchRequest = z.strictObject({
  name: BatchName.optional(),
  quantity: z.int().min(1).max(10_000_000),
  profileName: z.string().min(1).max(64),
  profileSha256: hexBytes(32),
  targetId: hexBytes(4),
  targetDevice: hexBytes(1),
  /**
   * True for test cards that cannot be told apart (one CPLC and one diversification datum for all): a chip
   * whose card is closed may then be reserved again and gets a new serial, so such cards go through one
   * after the other. Absent: false. A chip without CPLC and with all-zero diversification data is always
   * treated so.
   */
  anonymousChips: z.boolean().optional(),
  /**
   * The stations that work on this batch, and how many serials each may take at most (absent: as many as there are).
   * Absent: every station works on it.
   */
  stations: z.array(z.strictObject({ name: StationName, quota: z.int().min(1).optional() })).min(1).max(256)
    .optional(),
  /** True: the batch begins as held, and gives out nothing until it is opened. */
  held: z.boolean().optional(),
  /** When the batch stops by itself; absent: never. */
  limits: BatchLimits.optional(),
});
/** Answer of POST /v1/batches and GET /v1/batches/{batch}. */
export const BatchAnswer = z.strictObject({
  batch: BatchName,
  quantity: z.int(),
  profileName: z.string(),
  profileSha256: hexBytes(32),
  targetId: hexBytes(4),
  targetDevice: hexBytes(1),
  anonymousChips: z.boolean().optional(),
  firstSerial: hexBytes(4),
  lastSerial: hexBytes(4),
  state: z.enum(["held", "open", "closed"]),
  /** Cards by the state of their record. */
  counts: z.strictObject({
    reserved: z.int(),
    "key-seen": z.int().default(0),
    attested: z.int(),
    installed: z.int().default(0),
    good: z.int(),
    scrapped: z.int(),
    missing: z.int().default(0),
  }),
  issuerPublicKey: hexBytes(65),
});

/** POST /v1/card-keys: the transport keys of one card, diversified inside the HSM. */
export const CardKeysRequest = z.strictObject({
  batch: BatchName,
  chip: Chip,
  keyLengthBytes: z.union([z.literal(16), z.literal(24), z.literal(32)]),
});
/** Answer of POST /v1/card-keys: `sealed` is a JWE of `CardKeysSealed`. */
export const CardKeysAnswer = z.strictObject({ sealed: z.string() });
/** What is inside `sealed`. */
export const CardKeysSealed = z.strictObject({
  enc: hexRange(16, 32),
  mac: hexRange(16, 32),
  dek: hexRange(16, 32),
});

/** POST /v1/reservations: a serial for a chip. The same chip in the same batch gets its serial again, with a new DGI 8137 key. */
export const ReservationRequest = z.strictObject({ batch: BatchName, chip: Chip });
/** Answer of POST /v1/reservations. */
export const ReservationAnswer = z.strictObject({
  reservation: ReservationId,
  serial: hexBytes(4),
  issuerPublicKey: hexBytes(65),
  /** JWE of `PersonalizationKeySealed`. */
  sealed: z.string(),
  /** True when this chip had a reservation before. */
  again: z.boolean(),
});
/** What is inside `sealed` of a reservation. */
export const PersonalizationKeySealed = z.strictObject({ dgi8137: hexBytes(32) });

/** POST /v1/attestations: what GET PUBLIC KEY answered. */
export const AttestationRequest = z.strictObject({
  reservation: ReservationId,
  serial: hexBytes(4),
  publicKey: hexBytes(65),
  /** DER signature by the DGI 8137 key over `0A` || target ID || public key. */
  signature: hexRange(8, 72),
  /**
   * Life cycle that GET STATUS reported (spec/card.md, section 3). Needed when the record has a certificate already:
   * only a card in life cycle 0 gets another one, which supersedes and revokes the first.
   */
  lifeCycle: LifeCycle.optional(),
});
/** Answer of POST /v1/attestations. */
export const AttestationAnswer = z.strictObject({
  /** Card static certificate, spec/card.md 5.1. */
  certificate: hexRange(1, 239),
  certificateSha256: hexBytes(32),
  /** True when an earlier certificate of this reservation was superseded and revoked. */
  superseded: z.boolean(),
});

/** POST /v1/installations: the card holds its certificate, by the answer to SET CERTIFICATE or by a later look. */
export const InstallationRequest = z.strictObject({
  reservation: ReservationId,
  /** SHA-256 of the certificate that was sent to the card. */
  certificateSha256: hexBytes(32),
  /** Life cycle that GET STATUS reported: 1 pending tests, 2 attested, 3 user personalized. */
  lifeCycle: LifeCycle.min(1),
});
/** Answer of POST /v1/installations. */
export const InstallationAnswer = z.strictObject({
  reservation: ReservationId,
  /** `good` when the record was closed before this report came. */
  state: z.enum(["installed", "good"]),
});

/** POST /v1/closures: the record of a card. */
export const ClosureRequest = z.strictObject({
  reservation: ReservationId,
  outcome: z.enum(["good", "scrapped"]),
  /** Stable error code when scrapped. */
  reason: z.string().max(64).nullable(),
  certificateSha256: hexBytes(32).nullable(),
  packageSha256: hexBytes(32).nullable(),
  operator: z.string().min(1).max(64),
  /** Name of the reader, as the station knows it. */
  reader: z.string().min(1).max(128).optional(),
  apdus: z.int().min(0),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
});
/** Answer of POST /v1/closures. */
export const ClosureAnswer = z.strictObject({
  reservation: ReservationId,
  outcome: z.enum(["good", "scrapped"]),
});

/** POST /v1/host-certificates: for the station's own test wallet only. */
export const HostCertificateRequest = z.strictObject({ hostSerial: hexBytes(7), publicKey: hexBytes(65) });
/** Answer of POST /v1/host-certificates. */
export const HostCertificateAnswer = z.strictObject({
  hostSerial: hexBytes(7),
  publicKey: hexBytes(65),
  /** DER signature by the issuer over `02` || host serial || public key. */
  signature: hexRange(8, 72),
  issuerPublicKey: hexBytes(65),
});

export type BatchLimits = z.infer<typeof BatchLimits>;
export type Chip = z.infer<typeof Chip>;
export type CreateBatchRequest = z.infer<typeof CreateBatchRequest>;
export type BatchAnswer = z.infer<typeof BatchAnswer>;
export type CardKeysRequest = z.infer<typeof CardKeysRequest>;
export type CardKeysSealed = z.infer<typeof CardKeysSealed>;
export type ReservationRequest = z.infer<typeof ReservationRequest>;
export type ReservationAnswer = z.infer<typeof ReservationAnswer>;
export type PersonalizationKeySealed = z.infer<typeof PersonalizationKeySealed>;
export type AttestationRequest = z.infer<typeof AttestationRequest>;
export type AttestationAnswer = z.infer<typeof AttestationAnswer>;
export type InstallationRequest = z.infer<typeof InstallationRequest>;
export type InstallationAnswer = z.infer<typeof InstallationAnswer>;
export type ClosureRequest = z.infer<typeof ClosureRequest>;
export type ClosureAnswer = z.infer<typeof ClosureAnswer>;
export type HostCertificateRequest = z.infer<typeof HostCertificateRequest>;
export type HostCertificateAnswer = z.infer<typeof HostCertificateAnswer>;
export type CardKeysAnswer = z.infer<typeof CardKeysAnswer>;
