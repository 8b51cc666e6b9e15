/** Rows about batches as the database gives them, and the values that decisions read. */

import type { JudgedCard, JudgementLimits } from "../../domain/judgement/judgement.ts";
import { chipTraits } from "../../domain/judgement/chip_traits.ts";
import { type CardRecord, serialText } from "../../domain/batch_record/card_record.ts";
import type { BatchRecord, ReservationState } from "./records.ts";

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
export function limitsOf(row: LimitsRow): JudgementLimits {
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

/** The judged card of a row. */
export function judgedCard(row: JudgedRow): JudgedCard {
  const { outcome, reason, reader, station, package_sha256, cplc } = row;
  return {
    outcome,
    traits: {
      ...(reason === null ? {} : { reason }),
      // A reader's name says something together with its station only.
      ...(reader === null ? {} : { reader: `${station}: ${reader}` }),
      station,
      ...(package_sha256 === null ? {} : { package: package_sha256 }),
      ...chipTraits(cplc),
    },
  };
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
    serial: serialText(Number(row.serial)),
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

/** A card that ended, ready to be signed. */
export interface EndedCard {
  readonly reservation: string;
  readonly serial: number;
  readonly record: CardRecord;
}

/** The record of a row. */
export function endedCard(row: EndedCardRow, batch: BatchRecord): EndedCard {
  const outcome = row.state as CardRecord["outcome"];
  const certificates = row.certificates ?? [];
  const text = (time: Date | null) => time?.toISOString() ?? null;
  return {
    reservation: row.id,
    serial: Number(row.serial),
    record: {
      version: 1,
      batch: batch.name,
      profile: { name: batch.profileName, sha256: batch.profileSha256 },
      serial: serialText(Number(row.serial)),
      outcome,
      reason: outcome === "missing" ? row.lost_reason : row.reason,
      chip: { cplc: row.cplc, keyDiversificationData: row.key_diversification_data },
      certificateSha256: certificates.at(-1) ?? null,
      certificateRevoked: outcome !== "good" && certificates.length > 0,
      supersededCertificates: certificates.slice(0, -1),
      packageSha256: row.package_sha256,
      station: row.closing_station ?? row.station,
      reader: row.reader,
      operator: row.operator ?? row.lost_by ?? "",
      apdus: row.apdus ?? 0,
      reservedAt: row.created_at.toISOString(),
      startedAt: text(row.started_at),
      finishedAt: text(row.finished_at),
      closedAt: (row.recorded_at ?? row.lost_at ?? row.created_at).toISOString(),
    },
  };
}
