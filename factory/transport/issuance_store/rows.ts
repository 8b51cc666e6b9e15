/** Rows of the issuance tables, and the records that decisions read. Drivers differ in bigint: both are taken. */

import { limitsOf, type LimitsRow } from "./batch_rows.ts";
import type {
  BatchRecord,
  BatchState,
  CertificateRecord,
  ReservationRecord,
  ReservationState,
  SenderRecord,
  SenderRole,
} from "./records.ts";

/** What a driver may give for a bigint column. */
type Bigint = string | number | bigint;

/** Columns of `batches` that are read. */
export interface BatchRow extends LimitsRow {
  name: string;
  quantity: number;
  profile_name: string;
  profile_sha256: string;
  target_id: string;
  target_device: string;
  anonymous_chips: boolean;
  first_serial: Bigint;
  last_serial: Bigint;
  next_serial: Bigint;
  state: BatchState;
  closed: boolean;
}

/** The record of a row. */
export function batchRecord(row: BatchRow): BatchRecord {
  return {
    name: row.name,
    quantity: row.quantity,
    profileName: row.profile_name,
    profileSha256: row.profile_sha256,
    targetId: row.target_id,
    targetDevice: row.target_device,
    anonymousChips: row.anonymous_chips,
    firstSerial: Number(row.first_serial),
    lastSerial: Number(row.last_serial),
    nextSerial: Number(row.next_serial),
    state: row.state,
    closed: row.closed,
    ...limitsOf(row),
  };
}

/** Columns of `reservations` that are read. */
export interface ReservationRow {
  id: string;
  batch: string;
  station: string;
  serial: Bigint;
  state: string;
  personalization_key: string;
  seen_public_key: string | null;
}

/** The record of a row. */
export function reservationRecord(row: ReservationRow): ReservationRecord {
  return {
    id: row.id,
    batch: row.batch,
    station: row.station,
    serial: Number(row.serial),
    state: row.state as ReservationState,
    personalizationKey: row.personalization_key,
    seenPublicKey: row.seen_public_key,
  };
}

/** Columns of `certificates` that are read. */
export interface CertificateRow {
  reservation: string;
  public_key: string;
  certificate: string;
  sha256: string;
  revoked: boolean;
  supersedes: string | null;
}

/** The record of a row. */
export function certificateRecord(row: CertificateRow): CertificateRecord {
  return {
    reservation: row.reservation,
    publicKey: row.public_key,
    certificate: row.certificate,
    sha256: row.sha256,
    revoked: row.revoked,
    supersedes: row.supersedes !== null,
  };
}

/** The answer of the statement that opens every signed request. */
export interface OpeningRow {
  fresh: boolean;
  claimed: boolean;
  name: string | null;
  role: string | null;
  disabled: boolean | null;
}

/** The sender of an opening row. */
export function senderRecord(row: OpeningRow): SenderRecord | undefined {
  if (row.name === null) return undefined;
  return { name: row.name, role: row.role as SenderRole, disabled: row.disabled === true };
}

/** Counts of a batch's cards by state. */
export type BatchCounts = Readonly<Record<ReservationState, number>>;

/** One state's number of cards. */
export interface CountRow {
  state: string;
  cards: number;
}

/** Counts of every state; 0 for those without a row. */
export function countsOf(rows: readonly CountRow[]): BatchCounts {
  const counts: Record<ReservationState, number> = {
    reserved: 0,
    "key-seen": 0,
    attested: 0,
    installed: 0,
    good: 0,
    scrapped: 0,
    missing: 0,
  };
  for (const row of rows) counts[row.state as ReservationState] = Number(row.cards);
  return counts;
}
