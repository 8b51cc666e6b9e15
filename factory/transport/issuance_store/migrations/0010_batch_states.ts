/**
 * Batches are held, open or closed, and each change has its entry in the batch's journal in the same transaction, by
 * foreign key. A closed batch never changes again, and has its manifest. The limits at which a batch stops by itself are its
 * own; NULL switches a rule off.
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 10. */
export const BATCH_STATES: Migration = {
  id: 10,
  name: "batch-states",
  sql: `
ALTER TABLE batches
  ADD COLUMN state text NOT NULL DEFAULT 'open' CONSTRAINT batch_state CHECK (state IN ('held', 'open', 'closed')),
  ADD COLUMN entries int NOT NULL DEFAULT 1,
  ADD COLUMN judged_from timestamptz NOT NULL DEFAULT '-infinity',
  ADD COLUMN scrapped_in_row int CHECK (scrapped_in_row BETWEEN 1 AND 1000),
  ADD COLUMN yield_percent int CHECK (yield_percent BETWEEN 0 AND 100),
  ADD COLUMN yield_after_cards int NOT NULL DEFAULT 20 CHECK (yield_after_cards BETWEEN 1 AND 1000),
  ADD COLUMN yield_window_cards int NOT NULL DEFAULT 200 CHECK (yield_window_cards BETWEEN 1 AND 1000);
UPDATE batches SET state = 'closed' WHERE closed;
ALTER TABLE batches DROP COLUMN closed;
ALTER TABLE batches ADD COLUMN closed boolean GENERATED ALWAYS AS (state = 'closed') STORED;

CREATE TABLE batch_journal (
  batch text NOT NULL REFERENCES batches,
  entry int NOT NULL CHECK (entry > 0),
  event text NOT NULL,
  from_state text NOT NULL,
  to_state text NOT NULL,
  sender text NOT NULL REFERENCES senders,
  reason text,
  shared text,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (batch, entry),
  CONSTRAINT batch_journal_state UNIQUE (batch, entry, to_state),
  CONSTRAINT batch_flow CHECK ((from_state, event, to_state) IN (
    ('none', 'create', 'open'), ('none', 'create-held', 'held'), ('none', 'adopt', 'closed'),
    ('held', 'open', 'open'), ('open', 'stop', 'held'),
    ('held', 'close', 'closed'), ('open', 'close', 'closed'))),
  CONSTRAINT batch_journal_begins CHECK ((entry = 1) = (from_state = 'none')),
  CONSTRAINT batch_change_has_reason CHECK (event NOT IN ('open', 'stop') OR reason IS NOT NULL)
);
INSERT INTO batch_journal (batch, entry, event, from_state, to_state, sender, recorded_at)
  SELECT name, 1, CASE state WHEN 'closed' THEN 'adopt' ELSE 'create' END, 'none', state, created_by, created_at
  FROM batches ORDER BY created_at;
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON batch_journal EXECUTE FUNCTION refuse_change();

CREATE FUNCTION journal_new_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO batch_journal (batch, entry, event, from_state, to_state, sender)
  VALUES (NEW.name, 1, CASE NEW.state WHEN 'held' THEN 'create-held' ELSE 'create' END, 'none', NEW.state, NEW.created_by);
  RETURN NULL;
END $$;
CREATE TRIGGER journal_new_batch AFTER INSERT ON batches FOR EACH ROW EXECUTE FUNCTION journal_new_batch();

CREATE FUNCTION guard_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state = 'closed'
  THEN RAISE EXCEPTION 'a closed batch can not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF (NEW.name, NEW.first_serial, NEW.profile_name, NEW.profile_sha256)
    IS DISTINCT FROM (OLD.name, OLD.first_serial, OLD.profile_name, OLD.profile_sha256)
    OR (NEW.quantity <> OLD.quantity AND NEW.last_serial <> OLD.last_serial) OR NEW.next_serial < OLD.next_serial
  THEN RAISE EXCEPTION 'identity and range of a batch can not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF NEW.entries <> OLD.entries + (NEW.state <> OLD.state)::int
  THEN RAISE EXCEPTION 'a change needs its entry in the journal' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_batch BEFORE UPDATE ON batches FOR EACH ROW EXECUTE FUNCTION guard_batch();
ALTER TABLE batches ADD CONSTRAINT batch_state_is_journaled
  FOREIGN KEY (name, entries, state) REFERENCES batch_journal (batch, entry, to_state) DEFERRABLE INITIALLY DEFERRED;

CREATE FUNCTION guard_new_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM batches WHERE name = NEW.batch AND state = 'open')
  THEN RAISE EXCEPTION 'a batch that is not open takes no card' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER batch_takes_cards AFTER INSERT ON reservations
  FOR EACH ROW EXECUTE FUNCTION guard_new_reservation();

ALTER TABLE closures ADD COLUMN reader text CHECK (length(reader) BETWEEN 1 AND 128);
CREATE INDEX reservations_of_batch_by_serial ON reservations (batch, serial);
CREATE INDEX closures_by_time ON closures (recorded_at);
`,
};
