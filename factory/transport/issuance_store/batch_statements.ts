/**
 * Statements about a batch as a whole. Within a transaction the batch's row is locked first (`lock`), then its cards, as
 * everywhere here. Lists come in pages by serial: a batch of any size takes the memory of one page.
 */

import type { Sql } from "shared/transport/postgres/database.ts";
import type { BatchEvent, BatchState } from "../../domain/issuance/batch_flow.ts";
import { cardsToKeep, type JudgedCard, type JudgementLimits } from "../../domain/judgement/judgement.ts";
import {
  type BatchCard,
  batchCard,
  type BatchCardRow,
  type Bigint,
  type EndedCard,
  endedCard,
  type EndedCardRow,
  judgedCard,
  type JudgedRow,
  limitsOf,
  type LimitsRow,
} from "./batch_rows.ts";
import type { BatchRecord } from "./records.ts";
import { batchRecord, type BatchRow } from "./rows.ts";

/** States of cards that have not ended. */
const IN_FLIGHT = ["reserved", "key-seen", "attested", "installed"];

/** A batch with what only its own life needs. */
export interface BatchLife {
  readonly batch: BatchRecord;
  readonly state: BatchState;
  readonly limits: JudgementLimits;
}

/** A change of a batch's state. */
export interface BatchChange {
  readonly event: BatchEvent;
  readonly from: BatchState;
  readonly to: BatchState;
  readonly sender: string;
  readonly reason: string | null;
  /** What failures share, for people; one line each. */
  readonly shared: readonly string[];
}

/** A signed record, as it is stored. */
export interface StoredRecord {
  readonly serial: number;
  readonly reservation: string;
  readonly outcome: string;
  /** Compact JWS. */
  readonly record: string;
  /** 32 bytes of hex. */
  readonly leafSha256: string;
}

/** A manifest, as it is stored. */
export interface StoredManifest {
  /** Compact JWS. */
  readonly manifest: string;
  readonly rootSha256: string;
  readonly reserved: number;
  readonly good: number;
  readonly scrapped: number;
  readonly missing: number;
  readonly unused: number;
  /** ISO 8601. */
  readonly closedAt: string;
}

type LifeRow = BatchRow & LimitsRow & { state: BatchState };

/** The statements, over a transaction or the pool. */
export class BatchStatements {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** A batch, locked when asked. */
  async life(name: string, lock: boolean): Promise<BatchLife | undefined> {
    const [row] = lock
      ? await this.#sql<LifeRow[]>`SELECT * FROM batches WHERE name = ${name} FOR NO KEY UPDATE`
      : await this.#sql<LifeRow[]>`SELECT * FROM batches WHERE name = ${name}`;
    return row && { batch: batchRecord(row), state: row.state, limits: limitsOf(row) };
  }

  /** Changes a batch's state with its journal entry. Judgement begins anew when a batch opens. */
  async change(batch: string, change: BatchChange): Promise<void> {
    const { event, from, to, sender, reason, shared } = change;
    await this.#sql`
      WITH moved AS (
        UPDATE batches SET state = ${to}, entries = entries + 1,
          judged_from = CASE WHEN ${to} = 'open' THEN now() ELSE judged_from END
        WHERE name = ${batch} RETURNING entries)
      INSERT INTO batch_journal (batch, entry, event, from_state, to_state, sender, reason, shared)
      SELECT ${batch}, entries, ${event}, ${from}, ${to}, ${sender}, ${reason},
        ${shared.length === 0 ? null : shared.join("\n")} FROM moved`;
  }

  /** The last cards that ended since the batch opened, oldest first: as many as its limits look at. */
  async judged(batch: string, limits: JudgementLimits): Promise<JudgedCard[]> {
    const rows = await this.#sql<JudgedRow[]>`
      SELECT c.outcome, c.reason, c.reader, c.station, c.package_sha256, r.cplc
      FROM closures c JOIN reservations r ON r.id = c.reservation JOIN batches b ON b.name = r.batch
      WHERE r.batch = ${batch} AND c.recorded_at > b.judged_from
      ORDER BY c.recorded_at DESC, r.serial DESC LIMIT ${cardsToKeep(limits)}`;
    return rows.map(judgedCard).reverse();
  }

  /** Cards of a batch behind a serial, in order. @param inFlight those alone that have not ended. */
  async cards(batch: string, after: number, limit: number, inFlight: boolean): Promise<BatchCard[]> {
    const rows = await this.#sql<BatchCardRow[]>`
      SELECT r.serial, r.state, r.station, r.id, r.changed_at, c.reason,
        (SELECT k.sha256 FROM certificates k WHERE k.reservation = r.id ORDER BY k.issued_at DESC LIMIT 1)
          AS certificate_sha256
      FROM reservations r LEFT JOIN closures c ON c.reservation = r.id
      WHERE r.batch = ${batch} AND r.serial > ${after}
        AND (NOT ${inFlight} OR r.state IN ${this.#sql(IN_FLIGHT)})
      ORDER BY r.serial LIMIT ${limit}`;
    return rows.map(batchCard);
  }

  /** How many cards of a batch have not ended. */
  async countInFlight(batch: string): Promise<number> {
    const [row] = await this.#sql<{ cards: number }[]>`
      SELECT count(*)::int AS cards FROM reservations WHERE batch = ${batch} AND state IN ${
      this.#sql(IN_FLIGHT)
    }`;
    return row?.cards ?? 0;
  }

  /**
   * Declares cards missing, each with its entry in the journal: all that have not ended, or those of `serials` that have
   * not. Their certificates go on the revocation list by their state. Returns how many.
   */
  async declareMissing(
    batch: string,
    serials: readonly number[] | "all",
    sender: string,
    reason: string,
  ): Promise<number> {
    const { count } = await this.#sql`
      WITH lost AS (
        SELECT id, state, live_certificate FROM reservations
        WHERE batch = ${batch} AND state IN ${this.#sql(IN_FLIGHT)}
          AND (${serials === "all"} OR serial IN (
            SELECT value::bigint FROM jsonb_array_elements_text(${
      this.#sql.json(serials === "all" ? [] : [...serials])
    }::jsonb)))
        ORDER BY serial FOR NO KEY UPDATE),
      moved AS (
        UPDATE reservations r SET state = 'missing', entries = r.entries + 1, changed_at = now()
        FROM lost WHERE r.id = lost.id RETURNING r.id, r.entries)
      INSERT INTO issuance_journal (reservation, entry, batch, event, from_state, to_state, sender,
        certificate_sha256, reason)
      SELECT lost.id, moved.entries, ${batch}, 'lose', lost.state, 'missing', ${sender}, lost.live_certificate,
        ${reason}
      FROM lost JOIN moved ON moved.id = lost.id`;
    return count;
  }

  /** Cards that ended and have no signed record yet, behind a serial, in order. */
  async unsigned(batch: BatchRecord, after: number, limit: number): Promise<EndedCard[]> {
    const rows = await this.#sql<EndedCardRow[]>`
      SELECT r.id, r.serial, r.state, r.station, r.cplc, r.key_diversification_data, r.created_at,
        c.reason, c.package_sha256, c.station AS closing_station, c.reader, c.operator, c.apdus, c.started_at,
        c.finished_at, c.recorded_at, l.reason AS lost_reason, l.sender AS lost_by, l.recorded_at AS lost_at,
        (SELECT json_agg(k.sha256 ORDER BY k.issued_at) FROM certificates k WHERE k.reservation = r.id)
          AS certificates
      FROM reservations r LEFT JOIN closures c ON c.reservation = r.id
        LEFT JOIN LATERAL (SELECT j.reason, j.sender, j.recorded_at FROM issuance_journal j
          WHERE j.reservation = r.id AND j.event = 'lose' ORDER BY j.entry DESC LIMIT 1) l ON r.state = 'missing'
      WHERE r.batch = ${batch.name} AND r.serial > ${after} AND r.state IN ('good', 'scrapped', 'missing')
        AND NOT EXISTS (SELECT FROM card_records s WHERE s.batch = r.batch AND s.serial = r.serial)
      ORDER BY r.serial LIMIT ${limit}`;
    return rows.map((row) => endedCard(row, batch));
  }

  /** Stores records; of two that are made of one card the first one stays. */
  async insertRecords(batch: string, records: readonly StoredRecord[]): Promise<void> {
    if (records.length === 0) return;
    const rows = records.map(({ leafSha256, ...rest }) => ({ ...rest, leaf_sha256: leafSha256 }));
    await this.#sql`
      INSERT INTO card_records (batch, serial, reservation, outcome, record, leaf_sha256)
      SELECT ${batch}, serial, reservation, outcome, record, leaf_sha256
      FROM jsonb_to_recordset(${this.#sql.json(rows)}::jsonb)
        AS given (serial bigint, reservation uuid, outcome text, record text, leaf_sha256 text)
      ON CONFLICT DO NOTHING`;
  }

  /** Signed records behind a serial, in order. */
  async records(batch: string, after: number, limit: number): Promise<{ serial: number; record: string }[]> {
    const rows = await this.#sql<{ serial: Bigint; record: string }[]>`
      SELECT serial, record FROM card_records WHERE batch = ${batch} AND serial > ${after}
      ORDER BY serial LIMIT ${limit}`;
    return rows.map(({ serial, record }) => ({ serial: Number(serial), record }));
  }

  /** Leaves and outcomes of the signed records behind a serial, in order. */
  async leaves(
    batch: string,
    after: number,
    limit: number,
  ): Promise<{ serial: number; outcome: "good" | "scrapped" | "missing"; leafSha256: string }[]> {
    const rows = await this.#sql<
      { serial: Bigint; outcome: "good" | "scrapped" | "missing"; leaf_sha256: string }[]
    >`
      SELECT serial, outcome, leaf_sha256 FROM card_records WHERE batch = ${batch} AND serial > ${after}
      ORDER BY serial LIMIT ${limit}`;
    return rows.map(({ serial, outcome, leaf_sha256 }) => ({
      serial: Number(serial),
      outcome,
      leafSha256: leaf_sha256,
    }));
  }

  /** Stores a manifest. */
  async insertManifest(batch: string, row: StoredManifest): Promise<void> {
    await this.#sql`
      INSERT INTO batch_manifests (batch, manifest, root_sha256, reserved, good, scrapped, missing, unused, closed_at)
      VALUES (${batch}, ${row.manifest}, ${row.rootSha256}, ${row.reserved}, ${row.good}, ${row.scrapped},
        ${row.missing}, ${row.unused}, ${row.closedAt})`;
  }

  /** The manifest of a closed batch, compact JWS. */
  async manifest(batch: string): Promise<string | undefined> {
    const [row] = await this.#sql<{ manifest: string }[]>`
      SELECT manifest FROM batch_manifests WHERE batch = ${batch}`;
    return row?.manifest;
  }
}
