/** Rows about batches as the database gives them, and the values that decisions read. */

import type { BatchLimits, BatchState, ReservationState } from "./records.ts";

/** A bigint column, as drivers give it. */
export type Bigint = string | number | bigint;

/** Columns of a batch's limits. */
export interface LimitsRow {
  scrapped_in_row: number | null;
  yield_percent: number | null;
  yield_after_cards: number;
  yield_window_cards: number;
}

/** The limits of a row. */
export function limitsOf(row: LimitsRow): BatchLimits {
  return {
    scrappedInRow: row.scrapped_in_row,
    yieldPercent: row.yield_percent,
    yieldAfterCards: row.yield_after_cards,
    yieldWindowCards: row.yield_window_cards,
  };
}

/** A card that ended, as judgement reads it. */
export interface JudgedRow {
  outcome: "good" | "scrapped";
  reason: string | null;
  reader: string | null;
  station: string;
  package_sha256: string | null;
  cplc: string | null;
}

/** A card as lists of a batch show it. */
export interface BatchCard {
  /** 4 bytes of hex. */
  readonly serial: string;
  readonly state: ReservationState;
  readonly station: string;
  readonly reservation: string;
  /** Of a card that ended. */
  readonly reason: string | null;
  /** The last certificate that was issued for it. */
  readonly certificateSha256: string | null;
  /** ISO 8601: the last change of the record. */
  readonly changedAt: string;
}

/** Columns of a {@link BatchCard}. */
export interface BatchCardRow {
  serial: Bigint;
  state: string;
  station: string;
  id: string;
  reason: string | null;
  certificate_sha256: string | null;
  changed_at: Date;
}

/** The card of a row. */
export function batchCard(row: BatchCardRow): BatchCard {
  return {
    serial: Number(row.serial).toString(16).toUpperCase().padStart(8, "0"),
    state: row.state as ReservationState,
    station: row.station,
    reservation: row.id,
    reason: row.reason,
    certificateSha256: row.certificate_sha256,
    changedAt: row.changed_at.toISOString(),
  };
}

/** Everything that goes into a card's record. */
export interface EndedCardRow {
  id: string;
  serial: Bigint;
  state: string;
  station: string;
  cplc: string | null;
  key_diversification_data: string;
  created_at: Date;
  reason: string | null;
  package_sha256: string | null;
  closing_station: string | null;
  reader: string | null;
  operator: string | null;
  apdus: number | null;
  started_at: Date | null;
  finished_at: Date | null;
  recorded_at: Date | null;
  lost_reason: string | null;
  lost_by: string | null;
  lost_at: Date | null;
  /** In the order of their issue. */
  certificates: string[] | null;
}

/** Cards of one station, state and reason. */
export interface GroupRow {
  station: string;
  state: ReservationState;
  reason: string | null;
  cards: number;
  last_hour: number;
  first_reserved_at: Date;
  last_closed_at: Date | null;
}

/** An entry of a batch's journal. */
export interface BatchJournalRow {
  event: string;
  to_state: BatchState;
  sender: string;
  reason: string | null;
  /** Lines. */
  shared: string | null;
  recorded_at: Date;
}
