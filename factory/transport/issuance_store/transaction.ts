/**
 * The statements of one signed request. Locks are taken in one order, batch before reservation, so that two
 * instances never wait in a circle. Statements that do not wait for one another's answer are sent together:
 * the connection executes them in order.
 */

import type { EventEntry, ServiceEventLog } from "shared/log/writer/event_log.ts";
import type { TransactionSql } from "shared/transport/postgres/database.ts";
import { BatchStatements } from "./batch_statements.ts";
import type {
  BatchFacts,
  BatchRecord,
  BatchStationRecord,
  CertificateRecord,
  ClosureRecord,
  HostCertificateRecord,
  ReservationRecord,
  ReservationState,
} from "./records.ts";
import {
  type BatchCounts,
  batchRecord,
  type BatchRow,
  certificateRecord,
  type CertificateRow,
  type CountRow,
  countsOf,
  type OpeningRow,
  reservationRecord,
  type ReservationRow,
  senderRecord,
} from "./rows.ts";
import type {
  ChipParts,
  ChipView,
  EarlierRequest,
  NewCertificate,
  NewClosure,
  NewHostCertificate,
  NewReservation,
  Opening,
  RequestStamp,
  ReservationView,
  Transition,
} from "./transaction_rows.ts";

export type * from "./transaction_rows.ts";

/** One request's transaction. */
export class IssuanceTransaction {
  readonly #sql: TransactionSql;
  /** Statements about batches as a whole. */
  readonly batches: BatchStatements;

  constructor(sql: TransactionSql) {
    this.#sql = sql;
    this.batches = new BatchStatements(sql);
  }

  /**
   * Spends the nonce, claims the Idempotency-Key and reads the sender. A concurrent request with the same nonce or
   * key waits for this one's end.
   */
  async open(stamp: RequestStamp): Promise<Opening> {
    const { sender, idempotencyKey: key = null, requestSha256 = null, answerExpiresAt = 0 } = stamp;
    const [row] = await this.#sql<OpeningRow[]>`
      WITH spent AS (
        INSERT INTO request_nonces (sender, nonce, expires_at)
        VALUES (${sender}, ${stamp.nonce}, ${stamp.expiresAt}) ON CONFLICT DO NOTHING RETURNING 1),
      claimed AS (
        INSERT INTO idempotent_requests (sender, key, request_sha256, expires_at)
        SELECT ${sender}, ${key}, ${requestSha256}, ${answerExpiresAt} WHERE ${key}::text IS NOT NULL
        ON CONFLICT DO NOTHING RETURNING 1)
      SELECT EXISTS (SELECT FROM spent) AS fresh, EXISTS (SELECT FROM claimed) AS claimed,
        s.name, s.role, s.disabled
      FROM (SELECT 1) AS one LEFT JOIN senders s ON s.name = ${sender}`;
    if (row === undefined) return { sender: undefined, fresh: false, earlier: undefined };
    // A statement of its own: the first one does not see what it waited for.
    const earlier = key === null || row.claimed ? undefined : await this.#earlier(sender, key);
    return { sender: senderRecord(row), fresh: row.fresh, earlier };
  }

  async #earlier(sender: string, key: string): Promise<EarlierRequest | undefined> {
    const [row] = await this.#sql<{ request_sha256: string; answer: string | null }[]>`
      SELECT request_sha256, answer FROM idempotent_requests WHERE sender = ${sender} AND key = ${key}`;
    return row && { requestSha256: row.request_sha256, answer: row.answer };
  }

  /** Stores the answer of a request that has an Idempotency-Key, unless one is stored. Returns the stored one. */
  async keepAnswer(stamp: RequestStamp, answer: string): Promise<string> {
    const { sender, idempotencyKey: key } = stamp;
    if (key === undefined) return answer;
    const { count } = await this.#sql`
      UPDATE idempotent_requests SET answer = ${answer} WHERE sender = ${sender} AND key = ${key} AND answer IS NULL`;
    if (count === 1) return answer;
    return (await this.#earlier(sender, key))?.answer ?? answer;
  }

  /** Enters what is done here in the tamper-evident log: committed together, or not at all. */
  async enter(events: Pick<ServiceEventLog, "inTransaction">, entries: readonly EventEntry[]): Promise<void> {
    await events.inTransaction(this.#sql, entries);
  }

  /** A batch; locked when its serials are about to move. */
  async batch(name: string, lock: boolean): Promise<BatchRecord | undefined> {
    const [row] = lock
      ? await this.#sql<BatchRow[]>`SELECT * FROM batches WHERE name = ${name} FOR NO KEY UPDATE`
      : await this.#sql<BatchRow[]>`SELECT * FROM batches WHERE name = ${name}`;
    return row && batchRecord(row);
  }

  /** First serial that no batch has, locked. */
  async lockAllocator(): Promise<number> {
    const [row] = await this.#sql<{ next_serial: string }[]>`
      SELECT next_serial FROM serial_allocator FOR NO KEY UPDATE`;
    return Number(row?.next_serial ?? 0);
  }

  /** Enters a batch and moves the allocator past its range. */
  async insertBatch(
    facts: BatchFacts,
    first: number,
    last: number,
    createdBy: string,
    state: "open" | "held" = "open",
  ): Promise<BatchRecord> {
    const [row] = await this.#sql<BatchRow[]>`
      WITH moved AS (UPDATE serial_allocator SET next_serial = ${last + 1}::bigint)
      INSERT INTO batches (name, quantity, profile_name, profile_sha256, target_id, target_device,
        anonymous_chips, scrapped_in_row, yield_percent, yield_after_cards, yield_window_cards, state,
        first_serial, last_serial, next_serial, created_by)
      VALUES (${facts.name}, ${facts.quantity}, ${facts.profileName}, ${facts.profileSha256}, ${facts.targetId},
        ${facts.targetDevice}, ${facts.anonymousChips}, ${facts.scrappedInRow ?? null},
        ${facts.yieldPercent ?? null}, ${facts.yieldAfterCards ?? 1}, ${
      facts.yieldWindowCards ?? 1
    }, ${state}, ${first}, ${last}, ${first}, ${createdBy})
      RETURNING *`;
    return batchRecord(row!);
  }

  /** Counts of a batch's cards by state. */
  async counts(batch: string): Promise<BatchCounts> {
    return countsOf(
      await this.#sql<CountRow[]>`
        SELECT state, count(*)::int AS cards FROM reservations WHERE batch = ${batch} GROUP BY state`,
    );
  }

  /** Who may work on a batch and how much each has taken; empty when every station may. */
  async batchStations(batch: string): Promise<BatchStationRecord[]> {
    const rows = await this.#sql<{ station: string; quota: number | null; reserved: number }[]>`
      SELECT station, quota, reserved FROM batch_stations WHERE batch = ${batch} ORDER BY station`;
    return rows.map(({ station, quota, reserved }) => ({ station, quota, reserved }));
  }

  /** Enters the stations of a new batch. */
  async insertBatchStations(
    batch: string,
    stations: readonly Pick<BatchStationRecord, "station" | "quota">[],
  ): Promise<void> {
    for (const { station, quota } of stations) {
      await this.#sql`
        INSERT INTO batch_stations (batch, station, quota) VALUES (${batch}, ${station}, ${quota})`;
    }
  }

  /** The last reservation of a chip in a batch, locked. */
  async lockReservationOfChip(batch: string, chipKey: string): Promise<ReservationRecord | undefined> {
    const [row] = await this.#sql<ReservationRow[]>`
      SELECT id, batch, station, serial, state, personalization_key, seen_public_key FROM reservations
      WHERE batch = ${batch} AND chip_key = ${chipKey} ORDER BY serial DESC LIMIT 1 FOR NO KEY UPDATE`;
    return row && reservationRecord(row);
  }

  /** What is known of a chip beyond a batch. */
  async chipElsewhere(batch: string, chipKey: string, parts: ChipParts): Promise<ChipView> {
    const { diversification, cplcSerial } = parts;
    const [row] = await this.#sql<{ states: ReservationState[] | null; twin: boolean }[]>`
      SELECT (SELECT json_agg(DISTINCT state) FROM reservations
          WHERE chip_key = ${chipKey} AND batch <> ${batch}) AS states,
        EXISTS (SELECT FROM chips WHERE chip_key <> ${chipKey}
          AND (key_diversification_data = ${diversification} OR cplc_serial = ${cplcSerial})) AS twin`;
    return { elsewhere: row?.states ?? [], twin: row?.twin ?? false };
  }

  /**
   * Enters a reservation and takes its serial from the batch, which `batch(name, true)` has locked, and from the
   * station's quota; the journal's first entry with it.
   */
  async insertReservation(row: NewReservation, requestSha256?: string): Promise<void> {
    const { diversification, cplcSerial } = row.chipParts;
    await this.#sql`
      WITH moved AS (UPDATE batches SET next_serial = next_serial + 1 WHERE name = ${row.batch}),
      taken AS (UPDATE batch_stations SET reserved = reserved + 1
        WHERE batch = ${row.batch} AND station = ${row.station}),
      chip AS (
        INSERT INTO chips (chip_key, key_diversification_data, cplc_serial)
        SELECT ${row.chipKey}, ${diversification}, ${cplcSerial} WHERE ${row.chipDistinct}
        ON CONFLICT (chip_key) DO NOTHING),
      entered AS (
        INSERT INTO reservations (id, batch, station, serial, chip_key, chip_distinct, cplc,
          key_diversification_data, state, personalization_key)
        VALUES (${row.id}, ${row.batch}, ${row.station}, ${row.serial}, ${row.chipKey}, ${row.chipDistinct},
          ${row.cplc}, ${row.keyDiversificationData}, 'reserved', ${row.personalizationKey}))
      INSERT INTO issuance_journal (reservation, entry, batch, event, from_state, to_state, sender, request_sha256)
      VALUES (${row.id}, 1, ${row.batch}, 'reserve', 'none', 'reserved', ${row.station}, ${
      requestSha256 ?? null
    })`;
  }

  /** Changes a record together with its entry in the journal. @param change further columns of the record. */
  async #move(
    move: Transition,
    change: Readonly<Record<string, string | number | null>> = {},
  ): Promise<void> {
    const set = { state: move.to, ...change };
    await this.#sql`
      WITH moved AS (
        UPDATE reservations SET ${this.#sql(set)}, entries = entries + 1, changed_at = now(),
          times_reserved = times_reserved + ${move.event === "reserve-again" ? 1 : 0}::int
        WHERE id = ${move.reservation} RETURNING id, batch, entries)
      INSERT INTO issuance_journal (reservation, entry, batch, event, from_state, to_state, sender, request_sha256,
        public_key, certificate_sha256, reason)
      SELECT id, entries, batch, ${move.event}, ${move.from}, ${move.to}, ${move.by.sender},
        ${move.by.requestSha256 ?? null}, ${move.publicKey ?? null}, ${move.certificateSha256 ?? null},
        ${move.reason ?? null}
      FROM moved`;
  }

  /** A change that concerns no other table: `install`, `lose`. */
  async transition(move: Transition): Promise<void> {
    await this.#move(move);
  }

  /** Gives a reservation a new DGI 8137 key and, maybe, another station; a key that was seen counts no more. */
  async reserveAgain(move: Transition, key: string): Promise<void> {
    await this.#move(move, {
      station: move.by.sender,
      personalization_key: key,
      seen_public_key: null,
    });
  }

  /** Enters a card's public key, and revokes the certificate of the key that the card had before. */
  async seeKey(move: Transition & { readonly publicKey: string }, revoke: string | null): Promise<void> {
    await Promise.all([
      ...(revoke === null ? [] : [this.#revoke(revoke, "superseded")]),
      this.#move(move, { seen_public_key: move.publicKey, live_certificate: null }),
    ]);
  }

  async #revoke(sha256: string, reason: "superseded" | "scrapped"): Promise<void> {
    await this.#sql`
      UPDATE certificates SET revoked_at = now(), revocation_reason = ${reason}
      WHERE sha256 = ${sha256} AND revoked_at IS NULL`;
  }

  /** A reservation, locked, with its live certificate. */
  async lockReservation(id: string): Promise<ReservationView | undefined> {
    const [row] = await this.#sql<(ReservationRow & Partial<CertificateRow> & { elsewhere: boolean })[]>`
      SELECT r.id, r.batch, r.station, r.serial, r.state, r.personalization_key, r.seen_public_key,
        c.reservation, c.public_key, c.certificate, c.sha256, c.revoked_at IS NOT NULL AS revoked, c.supersedes,
        r.chip_distinct AND EXISTS (SELECT FROM reservations o WHERE o.chip_key = r.chip_key AND o.id <> r.id
          AND o.chip_distinct AND o.state IN ('attested', 'installed', 'good', 'missing')) AS elsewhere
      FROM reservations r LEFT JOIN certificates c ON c.reservation = r.id AND c.superseded_by IS NULL
      WHERE r.id = ${id} FOR NO KEY UPDATE OF r`;
    if (row === undefined) return undefined;
    const last = row.sha256 ? certificateRecord(row as CertificateRow) : undefined;
    const live = last?.revoked ? undefined : last;
    return { reservation: reservationRecord(row), live, last, chipElsewhere: row.elsewhere };
  }

  /** The batch of a reservation. */
  async batchOfReservation(id: string): Promise<BatchRecord | undefined> {
    const [row] = await this.#sql<BatchRow[]>`
      SELECT b.* FROM batches b JOIN reservations r ON r.batch = b.name WHERE r.id = ${id}`;
    return row && batchRecord(row);
  }

  /** The certificate of a card's public key. */
  async certificateOfKey(publicKey: string): Promise<CertificateRecord | undefined> {
    const [row] = await this.#sql<CertificateRow[]>`
      SELECT reservation, public_key, certificate, sha256, revoked_at IS NOT NULL AS revoked, supersedes
      FROM certificates WHERE public_key = ${publicKey}`;
    return row && certificateRecord(row);
  }

  /** Appends the certificate of the key that was seen last, and says of the one before which replaces it. */
  async insertCertificate(row: NewCertificate, by: Transition["by"]): Promise<void> {
    const entered = this.#enterCertificate(row);
    const moved = this.#move({
      reservation: row.reservation,
      event: "attest",
      from: "key-seen",
      to: "attested",
      by,
      publicKey: row.publicKey,
      certificateSha256: row.sha256,
    }, { live_certificate: row.sha256 });
    await Promise.all([entered, moved]);
  }

  async #enterCertificate(row: NewCertificate): Promise<void> {
    await this.#sql`
      WITH replaced AS (
        UPDATE certificates SET superseded_by = ${row.sha256} WHERE sha256 = ${row.supersedes})
      INSERT INTO certificates (reservation, sha256, public_key, certificate, issuer_public_key, station, supersedes)
      VALUES (${row.reservation}, ${row.sha256}, ${row.publicKey}, ${row.certificate}, ${row.issuerPublicKey},
        ${row.station}, ${row.supersedes})`;
  }

  /** How a reservation was closed. */
  async closure(reservation: string): Promise<ClosureRecord | undefined> {
    const [row] = await this.#sql<
      { outcome: "good" | "scrapped"; reason: string | null; certificate_sha256: string | null }[]
    >`SELECT outcome, reason, certificate_sha256 FROM closures WHERE reservation = ${reservation}`;
    return row &&
      { outcome: row.outcome, reason: row.reason, certificateSha256: row.certificate_sha256 };
  }

  /** Closes a reservation; a scrapped one's certificate is revoked. */
  async insertClosure(row: NewClosure, move: Transition, revoke: string | null): Promise<void> {
    await Promise.all([
      ...(revoke === null ? [] : [this.#revoke(revoke, "scrapped")]),
      this.#enterClosure(row),
      this.#move(move, row.outcome === "scrapped" ? { live_certificate: null } : {}),
    ]);
  }

  async #enterClosure(row: NewClosure): Promise<void> {
    await this.#sql`
      INSERT INTO closures (reservation, outcome, reason, certificate_sha256, package_sha256, station, operator,
        apdus, started_at, finished_at, reader)
      VALUES (${row.reservation}, ${row.outcome}, ${row.reason}, ${row.certificateSha256}, ${row.packageSha256},
        ${row.station}, ${row.operator}, ${row.apdus}, ${row.startedAt}, ${row.finishedAt},
        ${row.reader ?? null})`;
  }

  /** Host certificates of a host serial, which only this transaction may certify until it ends. */
  async lockHostCertificates(hostSerial: string): Promise<HostCertificateRecord[]> {
    const [, rows] = await Promise.all([
      // There may be no row to lock yet.
      this.#sql`SELECT pg_advisory_xact_lock(hashtextextended(${hostSerial}, 0))`,
      this.#sql<{ station: string; public_key: string; signature: string }[]>`
        SELECT station, public_key, signature FROM host_certificates WHERE host_serial = ${hostSerial}`,
    ]);
    return rows.map((row) => ({
      station: row.station,
      publicKey: row.public_key,
      signature: row.signature,
    }));
  }

  /** Appends a host certificate and binds its serial to the station. */
  async insertHostCertificate(row: NewHostCertificate): Promise<void> {
    await Promise.all([
      this.#sql`INSERT INTO test_wallets (host_serial, station) VALUES (${row.hostSerial}, ${row.station})
        ON CONFLICT DO NOTHING`,
      this.#sql`
        INSERT INTO host_certificates (host_serial, public_key, station, signature, issuer_public_key)
        VALUES (${row.hostSerial}, ${row.publicKey}, ${row.station}, ${row.signature}, ${row.issuerPublicKey})`,
    ]);
  }

  /** Notes that a station was given a chip's transport keys. */
  async noteCardKeys(batch: string, chipKey: string, station: string): Promise<void> {
    await this.#sql`
      INSERT INTO card_key_releases (batch, chip_key, station) VALUES (${batch}, ${chipKey}, ${station})
      ON CONFLICT (batch, chip_key, station) DO UPDATE SET times = card_key_releases.times + 1, last_at = now()`;
  }
}
