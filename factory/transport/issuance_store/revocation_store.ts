/** What is revoked, and the list that is published. */

import type { TransactionSql } from "shared/transport/postgres/database.ts";
import type { PublishedList, RevocationReason, RevokedCertificate } from "./records.ts";

/** Lock of whoever makes a list: the letters "revoked" as a number. */
const PUBLISH_LOCK = 0x7265766f6b6564n;

/** Keeps every other maker of a list out until the transaction ends. */
export async function lockRevocations(sql: TransactionSql): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${PUBLISH_LOCK})`;
}

/** Every certificate that no wallet may accept, in a fixed order: the revoked ones, and those of missing cards. */
export async function readRevoked(sql: TransactionSql): Promise<RevokedCertificate[]> {
  const rows = await sql<
    { sha256: string; serial: bigint; reason: RevocationReason }[]
  >`
    SELECT c.sha256, r.serial, COALESCE(c.revocation_reason,
      CASE WHEN c.superseded_by IS NULL THEN 'scrapped' ELSE 'superseded' END) AS reason
    FROM certificates c JOIN reservations r ON r.id = c.reservation WHERE c.revoked_at IS NOT NULL
    UNION ALL
    SELECT r.live_certificate, r.serial, 'missing' FROM reservations r
    WHERE r.state = 'missing' AND r.live_certificate IS NOT NULL
    ORDER BY 1`;
  return rows.map(({ sha256, serial, reason }) => ({
    certificateSha256: sha256,
    serial: Number(serial),
    reason,
  }));
}

/** The published list. */
export async function readPublished(sql: TransactionSql): Promise<PublishedList | undefined> {
  const [row] = await sql<
    { number: bigint; this_update: bigint; next_update: bigint; entries_sha256: string; list: string }[]
  >`SELECT number, this_update, next_update, entries_sha256, list FROM revocation_list`;
  return row && {
    number: Number(row.number),
    thisUpdate: Number(row.this_update),
    nextUpdate: Number(row.next_update),
    entriesSha256: row.entries_sha256,
    list: row.list,
  };
}

/** Publishes a list in place of the one before. */
export async function writePublished(
  sql: TransactionSql,
  row: PublishedList,
  entries: number,
): Promise<void> {
  await sql`
    INSERT INTO revocation_list (number, this_update, next_update, entries, entries_sha256, list)
    VALUES (${row.number}, ${row.thisUpdate}, ${row.nextUpdate}, ${entries}, ${row.entriesSha256}, ${row.list})
    ON CONFLICT (singleton) DO UPDATE SET number = EXCLUDED.number, this_update = EXCLUDED.this_update,
      next_update = EXCLUDED.next_update, entries = EXCLUDED.entries, entries_sha256 = EXCLUDED.entries_sha256,
      list = EXCLUDED.list`;
}
