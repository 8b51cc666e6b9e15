/** Senders, batches, reservations, certificates, closures, test wallets, nonces, and what must hold among them. */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 1. */
export const ISSUANCE_SCHEMA: Migration = {
  id: 1,
  name: "issuance-schema",
  sql: `
CREATE FUNCTION is_hex(value text, from_bytes int, to_bytes int) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT value ~ '^([0-9A-F]{2})*$' AND length(value) BETWEEN 2 * from_bytes AND 2 * to_bytes
$$;

CREATE TABLE senders (
  name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  role text NOT NULL CHECK (role IN ('station', 'batch-manager')),
  disabled boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE serial_allocator (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  next_serial bigint NOT NULL CHECK (next_serial BETWEEN 0 AND 4294967296)
);
INSERT INTO serial_allocator (next_serial) VALUES (0);

CREATE TABLE batches (
  name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  quantity int NOT NULL CHECK (quantity > 0),
  profile_name text NOT NULL,
  profile_sha256 text NOT NULL CHECK (is_hex(profile_sha256, 32, 32)),
  target_id text NOT NULL CHECK (is_hex(target_id, 4, 4)),
  target_device text NOT NULL CHECK (is_hex(target_device, 1, 1)),
  anonymous_chips boolean NOT NULL,
  first_serial bigint NOT NULL CHECK (first_serial >= 0),
  last_serial bigint NOT NULL CHECK (last_serial <= 4294967295),
  next_serial bigint NOT NULL,
  closed boolean NOT NULL DEFAULT false,
  created_by text NOT NULL REFERENCES senders,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT batch_range_is_quota CHECK (last_serial - first_serial + 1 = quantity),
  CONSTRAINT batch_next_in_range CHECK (next_serial BETWEEN first_serial AND last_serial + 1),
  CONSTRAINT batch_ranges_apart EXCLUDE USING gist (int8range(first_serial, last_serial, '[]') WITH &&)
);

CREATE TABLE reservations (
  id uuid PRIMARY KEY,
  batch text NOT NULL REFERENCES batches,
  station text NOT NULL REFERENCES senders,
  serial bigint NOT NULL CONSTRAINT serial_once UNIQUE CHECK (serial BETWEEN 0 AND 4294967295),
  chip_key text NOT NULL,
  chip_distinct boolean NOT NULL,
  cplc text CHECK (is_hex(cplc, 42, 42)),
  key_diversification_data text NOT NULL CHECK (is_hex(key_diversification_data, 10, 10)),
  state text NOT NULL CHECK (state IN ('reserved', 'attested', 'good', 'scrapped')),
  personalization_key text NOT NULL CHECK (is_hex(personalization_key, 65, 65)),
  live_certificate text,
  times_reserved int NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT live_certificate_by_state CHECK (
    CASE WHEN state IN ('attested', 'good') THEN live_certificate IS NOT NULL ELSE live_certificate IS NULL END
  )
);
CREATE UNIQUE INDEX chip_once_in_batch ON reservations (batch, chip_key) WHERE chip_distinct;
CREATE UNIQUE INDEX chip_in_flight_once ON reservations (batch, chip_key)
  WHERE NOT chip_distinct AND state IN ('reserved', 'attested');
CREATE UNIQUE INDEX chip_attested_once ON reservations (chip_key)
  WHERE chip_distinct AND state IN ('attested', 'good');
CREATE INDEX reservations_by_chip ON reservations (chip_key);
CREATE INDEX reservations_by_state ON reservations (batch, state);

CREATE TABLE certificates (
  sha256 text PRIMARY KEY CHECK (is_hex(sha256, 32, 32)),
  reservation uuid NOT NULL REFERENCES reservations,
  public_key text NOT NULL CONSTRAINT card_key_once UNIQUE CHECK (is_hex(public_key, 65, 65)),
  certificate text NOT NULL CHECK (is_hex(certificate, 1, 239)),
  issuer_public_key text NOT NULL CHECK (is_hex(issuer_public_key, 65, 65)),
  station text NOT NULL REFERENCES senders,
  supersedes text UNIQUE REFERENCES certificates,
  issued_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz,
  superseded_by text REFERENCES certificates DEFERRABLE INITIALLY DEFERRED,
  UNIQUE (reservation, sha256),
  CONSTRAINT superseded_is_revoked CHECK (superseded_by IS NULL OR revoked_at IS NOT NULL)
);
CREATE UNIQUE INDEX one_live_certificate ON certificates (reservation) WHERE revoked_at IS NULL;
ALTER TABLE reservations ADD CONSTRAINT live_certificate_is_own
  FOREIGN KEY (id, live_certificate) REFERENCES certificates (reservation, sha256) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE closures (
  reservation uuid PRIMARY KEY REFERENCES reservations,
  outcome text NOT NULL CHECK (outcome IN ('good', 'scrapped')),
  reason text,
  certificate_sha256 text CHECK (is_hex(certificate_sha256, 32, 32)),
  package_sha256 text CHECK (is_hex(package_sha256, 32, 32)),
  station text NOT NULL REFERENCES senders,
  operator text NOT NULL,
  apdus int NOT NULL CHECK (apdus >= 0),
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT scrapped_has_reason CHECK ((outcome = 'scrapped') = (reason IS NOT NULL)),
  CONSTRAINT good_has_certificate CHECK (outcome = 'scrapped' OR certificate_sha256 IS NOT NULL)
);

CREATE TABLE test_wallets (
  host_serial text PRIMARY KEY CHECK (is_hex(host_serial, 7, 7)),
  station text NOT NULL REFERENCES senders,
  UNIQUE (host_serial, station)
);
CREATE TABLE host_certificates (
  host_serial text NOT NULL,
  public_key text NOT NULL CHECK (is_hex(public_key, 65, 65)),
  station text NOT NULL,
  signature text NOT NULL CHECK (is_hex(signature, 8, 72)),
  issuer_public_key text NOT NULL CHECK (is_hex(issuer_public_key, 65, 65)),
  issued_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (host_serial, public_key),
  CONSTRAINT test_wallet_of_station FOREIGN KEY (host_serial, station) REFERENCES test_wallets (host_serial, station)
);

CREATE TABLE card_key_releases (
  batch text NOT NULL REFERENCES batches,
  chip_key text NOT NULL,
  station text NOT NULL REFERENCES senders,
  times int NOT NULL DEFAULT 1,
  first_at timestamptz NOT NULL DEFAULT now(),
  last_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (batch, chip_key, station)
);

CREATE TABLE request_nonces (
  sender text NOT NULL,
  nonce text NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (sender, nonce)
);
CREATE INDEX request_nonces_by_age ON request_nonces (expires_at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'row of % can not be removed or changed so', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON batches EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON reservations EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON certificates EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON closures EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON host_certificates EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM batches b WHERE b.name = NEW.batch AND NEW.serial BETWEEN b.first_serial AND b.last_serial)
    THEN RAISE EXCEPTION 'serial is outside its batch' USING ERRCODE = 'check_violation'; END IF;
    RETURN NEW;
  END IF;
  IF (NEW.id, NEW.batch, NEW.serial, NEW.chip_key, NEW.chip_distinct)
    IS DISTINCT FROM (OLD.id, OLD.batch, OLD.serial, OLD.chip_key, OLD.chip_distinct)
  THEN RAISE EXCEPTION 'identity of a reservation can not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF NOT (OLD.state, NEW.state) IN (
    ('reserved', 'reserved'), ('reserved', 'attested'), ('reserved', 'scrapped'),
    ('attested', 'attested'), ('attested', 'good'), ('attested', 'scrapped'))
  THEN RAISE EXCEPTION 'state of a reservation can not go so' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_reservation BEFORE INSERT OR UPDATE ON reservations
  FOR EACH ROW EXECUTE FUNCTION guard_reservation();

CREATE FUNCTION guard_certificate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.revoked_at IS NOT NULL OR NEW.revoked_at IS NULL
    OR (NEW.sha256, NEW.reservation, NEW.public_key, NEW.certificate, NEW.supersedes)
      IS DISTINCT FROM (OLD.sha256, OLD.reservation, OLD.public_key, OLD.certificate, OLD.supersedes)
  THEN RAISE EXCEPTION 'a certificate can only be revoked, once' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_certificate BEFORE UPDATE ON certificates
  FOR EACH ROW EXECUTE FUNCTION guard_certificate();
`,
};
