/**
 * The journal: each change of a card's record has its entry in the same transaction, and is what the last entry
 * says, by foreign key. Entries of a record are numbered without a gap and the record knows how many it has;
 * serials of a batch have no gap either, and the batch knows the next one: so whatever is removed is missed.
 * `sequence` is the order of writing over all records; it skips numbers where a transaction was undone.
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 4. */
export const ISSUANCE_JOURNAL: Migration = {
  id: 4,
  name: "issuance-journal",
  sql: `
CREATE TABLE issuance_journal (
  sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reservation uuid NOT NULL,
  entry int NOT NULL CHECK (entry > 0),
  batch text NOT NULL REFERENCES batches,
  event text NOT NULL,
  from_state text NOT NULL,
  to_state text NOT NULL,
  sender text NOT NULL REFERENCES senders,
  request_sha256 text CHECK (is_hex(request_sha256, 32, 32)),
  public_key text CHECK (is_hex(public_key, 65, 65)),
  certificate_sha256 text CHECK (is_hex(certificate_sha256, 32, 32)),
  reason text,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT journal_entry_once UNIQUE (reservation, entry),
  CONSTRAINT journal_entry_state UNIQUE (reservation, entry, to_state),
  CONSTRAINT correction_has_reason CHECK (event NOT IN ('correct-good', 'correct-scrapped') OR reason IS NOT NULL)
);
CREATE INDEX issuance_journal_by_batch ON issuance_journal (batch, sequence);

ALTER TABLE reservations ADD COLUMN entries int NOT NULL DEFAULT 1;
INSERT INTO issuance_journal (reservation, entry, batch, event, from_state, to_state, sender, certificate_sha256)
  SELECT id, 1, batch, 'adopt', 'none', state, station, live_certificate FROM reservations ORDER BY serial;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE issuance_journal ADD CONSTRAINT journal_of_reservation
  FOREIGN KEY (reservation) REFERENCES reservations DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE reservations ADD CONSTRAINT state_is_journaled
  FOREIGN KEY (id, entries, state) REFERENCES issuance_journal (reservation, entry, to_state)
  DEFERRABLE INITIALLY DEFERRED;

CREATE FUNCTION guard_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM card_flow f
    WHERE (f.from_state, f.event, f.to_state) = (NEW.from_state, NEW.event, NEW.to_state))
  THEN RAISE EXCEPTION 'a record can not go so' USING ERRCODE = 'check_violation'; END IF;
  IF (NEW.entry = 1) <> (NEW.from_state = 'none') OR NEW.entry > 1 AND NOT EXISTS (SELECT FROM issuance_journal j
    WHERE (j.reservation, j.entry, j.to_state) = (NEW.reservation, NEW.entry - 1, NEW.from_state))
  THEN RAISE EXCEPTION 'an entry does not follow the one before' USING ERRCODE = 'check_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_journal BEFORE INSERT ON issuance_journal FOR EACH ROW EXECUTE FUNCTION guard_journal();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON issuance_journal
  EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE FUNCTION guard_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM batches b WHERE b.name = NEW.batch AND NEW.serial BETWEEN b.first_serial AND b.last_serial)
    THEN RAISE EXCEPTION 'serial is outside its batch' USING ERRCODE = 'check_violation'; END IF;
    IF (NEW.state, NEW.entries) <> ('reserved', 1)
    THEN RAISE EXCEPTION 'a record begins as reserved' USING ERRCODE = 'check_violation'; END IF;
    RETURN NEW;
  END IF;
  IF (NEW.id, NEW.batch, NEW.serial, NEW.chip_key, NEW.chip_distinct)
    IS DISTINCT FROM (OLD.id, OLD.batch, OLD.serial, OLD.chip_key, OLD.chip_distinct)
  THEN RAISE EXCEPTION 'identity of a reservation can not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF NOT EXISTS (SELECT FROM card_flow f WHERE (f.from_state, f.to_state) = (OLD.state, NEW.state))
  THEN RAISE EXCEPTION 'state of a reservation can not go so' USING ERRCODE = 'restrict_violation'; END IF;
  IF NEW.entries <> OLD.entries + 1
  THEN RAISE EXCEPTION 'a change needs its entry in the journal' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
`,
};
