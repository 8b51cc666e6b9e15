/**
 * Why a certificate was revoked, and the signed list that wallets fetch: one row, whose number only grows. A
 * certificate is revoked when the card makes a new key; which certificate replaces it is entered when that is made.
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 8. */
export const REVOCATION_LIST: Migration = {
  id: 8,
  name: "revocation-list",
  sql: `
ALTER TABLE certificates ADD COLUMN revocation_reason text
  CHECK (revocation_reason IN ('superseded', 'scrapped'));
CREATE INDEX certificates_revoked ON certificates (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificates_of_reservation ON certificates (reservation) WHERE superseded_by IS NULL;
CREATE INDEX reservations_missing ON reservations (live_certificate) WHERE state = 'missing';

CREATE OR REPLACE FUNCTION guard_certificate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.revoked_at IS NULL
    OR OLD.revoked_at IS NOT NULL AND (OLD.superseded_by IS NOT NULL OR NEW.superseded_by IS NULL
      OR (NEW.revoked_at, NEW.revocation_reason) IS DISTINCT FROM (OLD.revoked_at, OLD.revocation_reason))
    OR (NEW.sha256, NEW.reservation, NEW.public_key, NEW.certificate, NEW.supersedes)
      IS DISTINCT FROM (OLD.sha256, OLD.reservation, OLD.public_key, OLD.certificate, OLD.supersedes)
  THEN RAISE EXCEPTION 'a certificate can only be revoked, once' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;

CREATE TABLE revocation_list (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  number bigint NOT NULL CHECK (number > 0),
  this_update bigint NOT NULL,
  next_update bigint NOT NULL CHECK (next_update > this_update),
  entries int NOT NULL CHECK (entries >= 0),
  entries_sha256 text NOT NULL CHECK (is_hex(entries_sha256, 32, 32)),
  list text NOT NULL
);
CREATE FUNCTION guard_revocation_list() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.number <= OLD.number
  THEN RAISE EXCEPTION 'the number of the list only grows' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_revocation_list BEFORE UPDATE ON revocation_list
  FOR EACH ROW EXECUTE FUNCTION guard_revocation_list();
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON revocation_list EXECUTE FUNCTION refuse_change();
`,
};
