/**
 * Cards of a batch by the hundred thousand, written as rows in the order in which the service writes them and past none of
 * the database's own checks: for measurements and tests of size. Their keys and certificates are made of text and prove nothing.
 */

import type { Database } from "shared/transport/postgres/database.ts";

/** What to enter. */
export interface ManyCards {
  /** An open batch with enough unused serials. */
  readonly batch: string;
  /** A sender with the role of a station. */
  readonly station: string;
  readonly cards: number;
  /** Of them, spread evenly, so many stay reserved: in flight. */
  readonly inFlight: number;
  /** Every so many-th card is scrapped. */
  readonly scrapEvery: number;
}

/** Cards that one transaction enters: what is checked at its end is kept in the server's memory. */
const TOGETHER = 5_000;

/** Enters the cards. Judgement is not asked: it looks at what stations report. */
export async function enterManyCards(database: Database, order: ManyCards): Promise<void> {
  for (let from = 0; from < order.cards; from += TOGETHER) {
    await enterSome(database, order, from, Math.min(order.cards, from + TOGETHER));
  }
  await database.sql`ANALYZE reservations, issuance_journal, certificates, closures`;
}

async function enterSome(
  database: Database,
  { batch, station, cards, inFlight, scrapEvery }: ManyCards,
  from: number,
  to: number,
): Promise<void> {
  await database.transaction(async (sql) => {
    await sql`CREATE TEMPORARY TABLE many_cards ON COMMIT DROP AS
      SELECT gen_random_uuid() AS id, b.next_serial + i - ${from} AS serial,
        upper(encode(sha256(convert_to('chip of ' || b.name || i, 'UTF8')), 'hex')) AS chip,
        upper(encode(sha256(convert_to('certificate of ' || b.name || i, 'UTF8')), 'hex')) AS sha256,
        CASE WHEN (i::bigint * ${inFlight}) % ${cards} < ${inFlight} THEN 'reserved'
          WHEN i % ${scrapEvery} = 0 THEN 'scrapped' ELSE 'good' END AS ends
      FROM batches b, generate_series(${from}::int, ${to - 1}::int) AS i WHERE b.name = ${batch}`;
    await sql`UPDATE batches SET next_serial = next_serial + ${to - from} WHERE name = ${batch}`;
    await sql`INSERT INTO reservations (id, batch, station, serial, chip_key, chip_distinct, cplc,
        key_diversification_data, state, personalization_key)
      SELECT id, ${batch}, ${station}, serial, chip, true, NULL, left(chip, 20), 'reserved', '04' || chip || sha256
      FROM many_cards`;
    const enter = (event: string, before: string, after: string, entry: number) =>
      sql`INSERT INTO issuance_journal (reservation, entry, batch, event, from_state, to_state, sender)
        SELECT id, ${entry}, ${batch}, ${event}, ${before}, ${after}, ${station} FROM many_cards
        WHERE ${entry} = 1 OR (ends = 'scrapped') = (${after} = 'scrapped') AND ends <> 'reserved' ORDER BY serial`;
    await enter("reserve", "none", "reserved", 1);
    await sql`UPDATE reservations r SET state = 'key-seen', entries = 2, seen_public_key = r.personalization_key
      FROM many_cards m WHERE m.id = r.id AND m.ends = 'good'`;
    await enter("see-key", "reserved", "key-seen", 2);
    await sql`INSERT INTO certificates (reservation, sha256, public_key, certificate, issuer_public_key, station)
      SELECT id, sha256, '04' || chip || sha256, sha256, '04' || chip || sha256, ${station}
      FROM many_cards WHERE ends = 'good'`;
    await sql`UPDATE reservations r SET state = 'attested', entries = 3, live_certificate = m.sha256
      FROM many_cards m WHERE m.id = r.id AND m.ends = 'good'`;
    await enter("attest", "key-seen", "attested", 3);
    await sql`INSERT INTO closures (reservation, outcome, reason, certificate_sha256, station, operator, apdus,
        started_at, finished_at, reader)
      SELECT id, ends, CASE ends WHEN 'scrapped' THEN 'CARD_REMOVED' END, CASE ends WHEN 'good' THEN sha256 END,
        ${station}, 'operator', 70, now(), now(), 'reader' FROM many_cards WHERE ends <> 'reserved'`;
    await sql`UPDATE reservations r SET state = 'good', entries = 4 FROM many_cards m
      WHERE m.id = r.id AND m.ends = 'good'`;
    await enter("close-good", "attested", "good", 4);
    await sql`UPDATE reservations r SET state = 'scrapped', entries = 2 FROM many_cards m
      WHERE m.id = r.id AND m.ends = 'scrapped'`;
    await enter("close-scrapped", "reserved", "scrapped", 2);
  }, { isolation: "read committed", deadlineMs: 120_000 });
}
