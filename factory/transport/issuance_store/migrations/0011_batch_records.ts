/**
 * What was signed: the record of each card that ended (JWS), its leaf in the batch's tree, and the manifest of a closed
 * batch. Rows are written once. A batch is closed exactly when its manifest is there, and the manifest's row balances.
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 11. */
export const BATCH_RECORDS: Migration = {
  id: 11,
  name: "batch-records",
  sql: `
CREATE TABLE card_records (
  batch text NOT NULL REFERENCES batches,
  serial bigint NOT NULL,
  reservation uuid NOT NULL UNIQUE REFERENCES reservations,
  outcome text NOT NULL CHECK (outcome IN ('good', 'scrapped', 'missing')),
  record text NOT NULL,
  leaf_sha256 text NOT NULL CHECK (is_hex(leaf_sha256, 32, 32)),
  signed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (batch, serial),
  CONSTRAINT record_of_serial_once UNIQUE (serial)
);
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON card_records EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_card_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM reservations r WHERE (r.id, r.batch, r.serial, r.state)
    = (NEW.reservation, NEW.batch, NEW.serial, NEW.outcome))
  THEN RAISE EXCEPTION 'a record is that of a card that ended so' USING ERRCODE = 'check_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_card_record BEFORE INSERT ON card_records FOR EACH ROW EXECUTE FUNCTION guard_card_record();

CREATE TABLE batch_manifests (
  batch text PRIMARY KEY REFERENCES batches,
  manifest text NOT NULL,
  root_sha256 text NOT NULL CHECK (is_hex(root_sha256, 32, 32)),
  reserved int NOT NULL CHECK (reserved >= 0),
  good int NOT NULL CHECK (good >= 0),
  scrapped int NOT NULL CHECK (scrapped >= 0),
  missing int NOT NULL CHECK (missing >= 0),
  unused int NOT NULL CHECK (unused >= 0),
  closed_at timestamptz NOT NULL,
  CONSTRAINT batch_balances CHECK (reserved = good + scrapped + missing)
);
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON batch_manifests EXECUTE FUNCTION refuse_change();

-- A batch that was closed before there were manifests keeps none.
CREATE FUNCTION guard_closing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM batch_manifests m WHERE m.batch = NEW.name
    AND m.reserved + m.unused = NEW.quantity
    AND m.reserved = (SELECT count(*) FROM card_records c WHERE c.batch = NEW.name)
    AND m.reserved = (SELECT count(*) FROM reservations r WHERE r.batch = NEW.name))
  THEN RAISE EXCEPTION 'a batch closes with a record for each card and its manifest' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER guard_closing AFTER UPDATE OF state ON batches DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.state = 'closed') EXECUTE FUNCTION guard_closing();
`,
};
