/**
 * A provider's schema. A backup is a diversified identifier, a key version and one opaque blob of fixed size: no times, no
 * plain commitments or keys, which are equal at all providers. Blobs stay in the row (PLAIN): the order of values that are
 * kept elsewhere would be the order in which they came.
 */

import { LOG_MIGRATION_STEPS, logMigrations } from "shared/log/store/migrations.ts";
import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Length of a backup's blob, in bytes. */
export const BACKUP_BLOB_LENGTH = 1536;
/** Length of a session's blob, in bytes. */
export const SESSION_BLOB_LENGTH = 12_028;

const SCHEMA = `
CREATE TABLE backups (
  identifier bytea PRIMARY KEY CHECK (length(identifier) = 32),
  key_version int NOT NULL CHECK (key_version > 0),
  blob bytea NOT NULL CHECK (length(blob) = ${BACKUP_BLOB_LENGTH})
);
ALTER TABLE backups ALTER COLUMN blob SET STORAGE PLAIN;

CREATE TABLE sessions (
  session uuid PRIMARY KEY,
  version int NOT NULL CHECK (version > 0),
  key_version int NOT NULL CHECK (key_version > 0),
  -- The same device channel opens one session, and no second one.
  device_tag bytea NOT NULL CONSTRAINT device_channel_once UNIQUE CHECK (length(device_tag) = 32),
  -- Day on which it may be forgotten: no finer, so that it says nothing of when it was opened.
  forget_day int NOT NULL,
  blob bytea NOT NULL CHECK (length(blob) = ${SESSION_BLOB_LENGTH})
);
ALTER TABLE sessions ALTER COLUMN blob SET STORAGE EXTERNAL;

-- Every state that a backup left, once: two changes from one state have one tag. The receipt is that of the log's entry.
CREATE TABLE changes (
  tag bytea CONSTRAINT change_once PRIMARY KEY CHECK (length(tag) = 32),
  receipt bigint UNIQUE
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'row of % can not be removed or changed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON changes
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION session_goes_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.session <> OLD.session OR NEW.version <> OLD.version + 1 OR NEW.device_tag <> OLD.device_tag
  THEN RAISE EXCEPTION 'a session only goes on' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER session_goes_on BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION session_goes_on();

-- Writes all rows anew in the order of their identifiers, in one transaction: neither their place nor the transaction
-- that wrote them tells any more when a backup came or was used.
CREATE FUNCTION rewrite_in_identifier_order() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp AS $$
BEGIN
  LOCK TABLE backups, sessions IN ACCESS EXCLUSIVE MODE;
  CREATE TEMP TABLE ordered_backups ON COMMIT DROP AS SELECT * FROM backups;
  CREATE TEMP TABLE ordered_sessions ON COMMIT DROP AS SELECT * FROM sessions;
  TRUNCATE backups, sessions;
  INSERT INTO backups SELECT * FROM ordered_backups ORDER BY identifier;
  INSERT INTO sessions SELECT * FROM ordered_sessions ORDER BY session;
  DROP TABLE ordered_backups, ordered_sessions;
END $$;
REVOKE EXECUTE ON FUNCTION rewrite_in_identifier_order() FROM PUBLIC;
`;

/** The node's role can do exactly its statements. */
const LEAST_RIGHTS = `
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recover_provider') THEN
    GRANT SELECT, INSERT, DELETE ON backups, sessions TO recover_provider;
    GRANT UPDATE (key_version, blob) ON backups TO recover_provider;
    GRANT UPDATE (version, key_version, blob) ON sessions TO recover_provider;
    GRANT SELECT, INSERT ON changes TO recover_provider;
    GRANT EXECUTE ON FUNCTION rewrite_in_identifier_order() TO recover_provider;
  END IF;
END $$;
`;

/** What the role gets of the log's tables: it adds entries and moves them behind the last index; it changes none. */
const LOG_LEAST_RIGHTS = `
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recover_provider') THEN
    GRANT SELECT, INSERT, DELETE ON log_pending TO recover_provider;
    GRANT SELECT, INSERT ON log_entries TO recover_provider;
    GRANT SELECT, UPDATE ON log_head TO recover_provider;
  END IF;
END $$;
`;

/** Every migration, in order. */
export const PROVIDER_MIGRATIONS: readonly Migration[] = [
  { id: 1, name: "provider-schema", sql: SCHEMA },
  { id: 2, name: "provider-least-rights", sql: LEAST_RIGHTS },
  ...logMigrations(3),
  { id: 3 + LOG_MIGRATION_STEPS, name: "provider-log-least-rights", sql: LOG_LEAST_RIGHTS },
];
