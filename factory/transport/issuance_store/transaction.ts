/**
 * The statements of one signed request. Locks are taken in one order, batch before reservation, so that two
 * instances never wait in a circle. Statements that do not wait for one another's answer are sent together:
 * the connection executes them in order.
 */

import type { TransactionSql } from "shared/transport/postgres/database.ts";
import type {
  BatchFacts,
  BatchRecord,
  CertificateRecord,
  ClosureRecord,
  HostCertificateRecord,
  ReservationRecord,
  ReservationState,
  SenderRecord,
} from "./records.ts";
import {
  batchRecord,
  type BatchRow,
  certificateRecord,
  type CertificateRow,
  type OpeningRow,
  reservationRecord,
  type ReservationRow,
  senderRecord,
} from "./rows.ts";

/** How a request proves that it is new. */
export interface RequestStamp {
  readonly sender: string;
  readonly nonce: string;
  /** Seconds since 1970; the nonce may be forgotten after it. */
  readonly expiresAt: number;
}

/** What opening a request's transaction tells. */
export interface Opening {
  readonly sender: SenderRecord | undefined;
  /** False when the nonce was spent before. */
  readonly fresh: boolean;
}

/** A new reservation's row. */
export interface NewReservation {
  readonly id: string;
  readonly batch: string;
  readonly station: string;
  readonly serial: number;
  readonly chipKey: string;
  readonly chipDistinct: boolean;
  readonly cplc: string | null;
  readonly keyDiversificationData: string;
  readonly personalizationKey: string;
}

/** A new certificate's row. */
export interface NewCertificate {
  readonly reservation: string;
  readonly sha256: string;
  readonly publicKey: string;
  readonly certificate: string;
  readonly issuerPublicKey: string;
  readonly station: string;
  /** SHA-256 of the certificate that this one replaces. */
  readonly supersedes: string | null;
}

/** A closure's row. */
export interface NewClosure extends ClosureRecord {
  readonly reservation: string;
  readonly packageSha256: string | null;
  readonly station: string;
  readonly operator: string;
  readonly apdus: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** A new host certificate's row. */
export interface NewHostCertificate extends HostCertificateRecord {
  readonly hostSerial: string;
  readonly issuerPublicKey: string;
}

/** What a request about one reservation reads. */
export interface ReservationView {
  readonly reservation: ReservationRecord;
  readonly live: CertificateRecord | undefined;
  /** Whether this chip is attested or good under another reservation. */
  readonly chipElsewhere: boolean;
}

/** One request's transaction. */
export class IssuanceTransaction {
  readonly #sql: TransactionSql;

  constructor(sql: TransactionSql) {
    this.#sql = sql;
  }

  /** Spends the nonce and reads the sender. A concurrent request with the same nonce waits for this one's end. */
  async open(stamp: RequestStamp): Promise<Opening> {
    const [row] = await this.#sql<OpeningRow[]>`
      WITH spent AS (
        INSERT INTO request_nonces (sender, nonce, expires_at)
        VALUES (${stamp.sender}, ${stamp.nonce}, ${stamp.expiresAt}) ON CONFLICT DO NOTHING RETURNING 1)
      SELECT EXISTS (SELECT FROM spent) AS fresh, s.name, s.role, s.disabled
      FROM (SELECT 1) AS one LEFT JOIN senders s ON s.name = ${stamp.sender}`;
    if (row === undefined) return { sender: undefined, fresh: false };
    return { sender: senderRecord(row), fresh: row.fresh };
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
  async insertBatch(facts: BatchFacts, first: number, last: number, createdBy: string): Promise<BatchRecord> {
    const [row] = await this.#sql<BatchRow[]>`
      WITH moved AS (UPDATE serial_allocator SET next_serial = ${last + 1}::bigint)
      INSERT INTO batches (name, quantity, profile_name, profile_sha256, target_id, target_device,
        anonymous_chips, first_serial, last_serial, next_serial, created_by)
      VALUES (${facts.name}, ${facts.quantity}, ${facts.profileName}, ${facts.profileSha256}, ${facts.targetId},
        ${facts.targetDevice}, ${facts.anonymousChips}, ${first}, ${last}, ${first}, ${createdBy})
      RETURNING *`;
    return batchRecord(row!);
  }

  /** The last reservation of a chip in a batch, locked. */
  async lockReservationOfChip(batch: string, chipKey: string): Promise<ReservationRecord | undefined> {
    const [row] = await this.#sql<ReservationRow[]>`
      SELECT id, batch, station, serial, state, personalization_key FROM reservations
      WHERE batch = ${batch} AND chip_key = ${chipKey} ORDER BY serial DESC LIMIT 1 FOR NO KEY UPDATE`;
    return row && reservationRecord(row);
  }

  /** States of a chip's reservations in other batches. */
  async statesElsewhere(batch: string, chipKey: string): Promise<ReservationState[]> {
    const rows = await this.#sql<{ state: string }[]>`
      SELECT DISTINCT state FROM reservations WHERE chip_key = ${chipKey} AND batch <> ${batch}`;
    return rows.map((row) => row.state as ReservationState);
  }

  /** Enters a reservation and takes its serial from the batch, which `batch(name, true)` has locked. */
  async insertReservation(row: NewReservation): Promise<void> {
    await this.#sql`
      WITH moved AS (UPDATE batches SET next_serial = next_serial + 1 WHERE name = ${row.batch})
      INSERT INTO reservations (id, batch, station, serial, chip_key, chip_distinct, cplc,
        key_diversification_data, state, personalization_key)
      VALUES (${row.id}, ${row.batch}, ${row.station}, ${row.serial}, ${row.chipKey}, ${row.chipDistinct},
        ${row.cplc}, ${row.keyDiversificationData}, 'reserved', ${row.personalizationKey})`;
  }

  /** Gives a reservation a new DGI 8137 key and, maybe, another station. */
  async reserveAgain(id: string, state: ReservationState, station: string, key: string): Promise<void> {
    await this.#sql`
      UPDATE reservations SET station = ${station}, state = ${state}, personalization_key = ${key},
        times_reserved = times_reserved + 1, changed_at = now() WHERE id = ${id}`;
  }

  /** A reservation, locked, with its live certificate. */
  async lockReservation(id: string): Promise<ReservationView | undefined> {
    const [row] = await this.#sql<(ReservationRow & Partial<CertificateRow> & { elsewhere: boolean })[]>`
      SELECT r.id, r.batch, r.station, r.serial, r.state, r.personalization_key,
        c.reservation, c.public_key, c.certificate, c.sha256, c.revoked_at IS NOT NULL AS revoked, c.supersedes,
        r.chip_distinct AND EXISTS (SELECT FROM reservations o WHERE o.chip_key = r.chip_key AND o.id <> r.id
          AND o.chip_distinct AND o.state IN ('attested', 'good')) AS elsewhere
      FROM reservations r LEFT JOIN certificates c ON c.sha256 = r.live_certificate
      WHERE r.id = ${id} FOR NO KEY UPDATE OF r`;
    if (row === undefined) return undefined;
    const live = row.sha256 ? certificateRecord(row as CertificateRow) : undefined;
    return { reservation: reservationRecord(row), live, chipElsewhere: row.elsewhere };
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

  /** Appends a certificate, revoking the one that it replaces, and moves its reservation to attested. */
  async insertCertificate(row: NewCertificate): Promise<void> {
    const statements: Promise<unknown>[] = [];
    if (row.supersedes !== null) {
      statements.push(this.#sql`
        UPDATE certificates SET revoked_at = now(), superseded_by = ${row.sha256}
        WHERE sha256 = ${row.supersedes}`);
    }
    statements.push(this.#sql`
      WITH moved AS (
        UPDATE reservations SET state = 'attested', live_certificate = ${row.sha256}, changed_at = now()
        WHERE id = ${row.reservation})
      INSERT INTO certificates (reservation, sha256, public_key, certificate, issuer_public_key, station, supersedes)
      VALUES (${row.reservation}, ${row.sha256}, ${row.publicKey}, ${row.certificate}, ${row.issuerPublicKey},
        ${row.station}, ${row.supersedes})`);
    await Promise.all(statements);
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
  async insertClosure(row: NewClosure, revoke: string | null): Promise<void> {
    const scrapped = row.outcome === "scrapped";
    await this.#sql`
      WITH revoked AS (UPDATE certificates SET revoked_at = now() WHERE sha256 = ${revoke}),
      moved AS (
        UPDATE reservations SET state = ${row.outcome}, changed_at = now(),
          live_certificate = CASE WHEN ${scrapped} THEN NULL ELSE live_certificate END
        WHERE id = ${row.reservation})
      INSERT INTO closures (reservation, outcome, reason, certificate_sha256, package_sha256, station, operator,
        apdus, started_at, finished_at)
      VALUES (${row.reservation}, ${row.outcome}, ${row.reason}, ${row.certificateSha256}, ${row.packageSha256},
        ${row.station}, ${row.operator}, ${row.apdus}, ${row.startedAt}, ${row.finishedAt})`;
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
