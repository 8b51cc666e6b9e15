/**
 * Statements about a batch as a whole. Within a transaction the batch's row is locked first (`lock`), then its cards, as
 * everywhere here. Lists come in pages by serial: a batch of any size takes the memory of one page.
 */

import type { Sql } from "shared/transport/postgres/database.ts";
import {
  type BatchCard,
  batchCard,
  type BatchCardRow,
  type BatchJournalRow,
  type Bigint,
  type EndedCardRow,
  type GroupRow,
  type JudgedRow,
} from "./batch_rows.ts";
import type { BatchState } from "./records.ts";

/** States of cards that have not ended. */
const IN_FLIGHT = ["reserved", "key-seen", "attested", "installed"];

/** A change of a batch's state. */
export interface BatchChange {
  readonly event: "open" | "stop" | "close";
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

/** The statements, over a transaction or the pool. */
export class BatchStatements {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
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

  /** The last cards that ended since the batch opened, oldest first. */
  async judged(batch: string, limit: number): Promise<JudgedRow[]> {
    const rows = await this.#sql<JudgedRow[]>`
      SELECT c.outcome, c.reason, c.reader, c.station, c.package_sha256, r.cplc
      FROM closures c JOIN reservations r ON r.id = c.reservation JOIN batches b ON b.name = r.batch
      WHERE r.batch = ${batch} AND c.recorded_at > b.judged_from
      ORDER BY c.recorded_at DESC, r.serial DESC LIMIT ${limit}`;
    return rows.reverse();
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

  /** Cards by station, state and reason: one statement, so that the figures belong together. */
  async groups(batch: string): Promise<GroupRow[]> {
    return await this.#sql<GroupRow[]>`
      SELECT coalesce(c.station, r.station) AS station, r.state,
        CASE r.state WHEN 'missing' THEN (SELECT j.reason FROM issuance_journal j
          WHERE j.reservation = r.id AND j.event = 'lose' ORDER BY j.entry DESC LIMIT 1) ELSE c.reason END AS reason,
        count(*)::int AS cards,
        count(*) FILTER (WHERE c.recorded_at > now() - interval '1 hour')::int AS last_hour,
        min(r.created_at) AS first_reserved_at, max(c.recorded_at) AS last_closed_at
      FROM reservations r LEFT JOIN closures c ON c.reservation = r.id
      WHERE r.batch = ${batch} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`;
  }

  /** What happened to a batch, in order. */
  async journal(batch: string): Promise<BatchJournalRow[]> {
    return await this.#sql<BatchJournalRow[]>`
      SELECT event, to_state, sender, reason, shared, recorded_at FROM batch_journal
      WHERE batch = ${batch} ORDER BY entry`;
  }

  /** When a batch was made, the database's time, and how many signed records it has. */
  async facts(batch: string): Promise<{ createdAt: Date; at: Date; recordsSigned: number } | undefined> {
    const [row] = await this.#sql<{ created_at: Date; at: Date; signed: number }[]>`
      SELECT created_at, now() AS at, (SELECT count(*)::int FROM card_records c WHERE c.batch = b.name) AS signed
      FROM batches b WHERE name = ${batch}`;
    return row && { createdAt: row.created_at, at: row.at, recordsSigned: row.signed };
  }

  /** How many of some serials are cards that have not ended, and how many were declared missing. */
  async countNamed(
    batch: string,
    serials: readonly number[],
  ): Promise<{ inFlight: number; missing: number }> {
    const [row] = await this.#sql<{ in_flight: number; missing: number }[]>`
      SELECT count(*) FILTER (WHERE state IN ${this.#sql(IN_FLIGHT)})::int AS in_flight,
        count(*) FILTER (WHERE state = 'missing')::int AS missing
      FROM reservations WHERE batch = ${batch} AND serial IN ${this.#named(serials)}`;
    return { inFlight: row?.in_flight ?? 0, missing: row?.missing ?? 0 };
  }

  /** Serials as one parameter, so that the statement is the same for any number of them. */
  #named(serials: readonly number[]) {
    return this.#sql`(SELECT text::bigint FROM jsonb_array_elements_text(${
      this.#sql.json([...serials])
    }::jsonb) AS given (text))`;
  }

  /** How many cards have ended and have no signed record yet. Each record is that of one card that ended. */
  async countUnsigned(batch: string): Promise<number> {
    const [row] = await this.#sql<{ cards: number }[]>`
      SELECT (SELECT count(*) FROM reservations
          WHERE batch = ${batch} AND state IN ('good', 'scrapped', 'missing'))::int
        - (SELECT count(*) FROM card_records WHERE batch = ${batch})::int AS cards`;
    return row?.cards ?? 0;
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
   * not, `limit` at most, the lowest serials first. Their certificates go on the revocation list by their state.
   * @returns how many.
   */
  async declareMissing(
    batch: string,
    serials: readonly number[] | "all",
    sender: string,
    reason: string,
    limit: number,
  ): Promise<number> {
    const { count } = await this.#sql`
      WITH lost AS (
        SELECT id, state, live_certificate FROM reservations
        WHERE batch = ${batch} AND state IN ${this.#sql(IN_FLIGHT)}
          ${serials === "all" ? this.#sql`` : this.#sql`AND serial IN ${this.#named(serials)}`}
        ORDER BY serial LIMIT ${limit} FOR NO KEY UPDATE),
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
  async unsigned(batch: string, after: number, limit: number): Promise<EndedCardRow[]> {
    return await this.#sql<EndedCardRow[]>`
      SELECT r.id, r.serial, r.state, r.station, r.cplc, r.key_diversification_data, r.created_at,
        c.reason, c.package_sha256, c.station AS closing_station, c.reader, c.operator, c.apdus, c.started_at,
        c.finished_at, c.recorded_at, l.reason AS lost_reason, l.sender AS lost_by, l.recorded_at AS lost_at,
        (SELECT json_agg(k.sha256 ORDER BY k.issued_at) FROM certificates k WHERE k.reservation = r.id)
          AS certificates
      FROM reservations r LEFT JOIN closures c ON c.reservation = r.id
        LEFT JOIN LATERAL (SELECT j.reason, j.sender, j.recorded_at FROM issuance_journal j
          WHERE j.reservation = r.id AND j.event = 'lose' ORDER BY j.entry DESC LIMIT 1) l ON r.state = 'missing'
      WHERE r.batch = ${batch} AND r.serial > ${after} AND r.state IN ('good', 'scrapped', 'missing')
        AND NOT EXISTS (SELECT FROM card_records s WHERE s.batch = r.batch AND s.serial = r.serial)
      ORDER BY r.serial LIMIT ${limit}`;
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
