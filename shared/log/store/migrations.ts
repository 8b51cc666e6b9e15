/** Tables of a log in PostgreSQL, as steps that a service appends to its own list. */

import type { Migration } from "../../transport/postgres/migrate.ts";

/** Steps of {@link logMigrations}: a service's next own step has the number after them. */
export const LOG_MIGRATION_STEPS = 1;
/** Prefix of the tables, unless told otherwise. */
export const LOG_TABLE_PREFIX = "log";

/** Whether a text can be a prefix of table names. */
export function isTablePrefix(prefix: string): boolean {
  return /^[a-z][a-z0-9_]{0,30}$/.test(prefix);
}

/**
 * The steps, numbered from `firstId`. The database itself keeps what must never happen from happening: an entry with an index is
 * neither changed nor removed, the size never shrinks, an epoch never returns.
 * @param prefix of the table names: several logs fit into one database.
 */
export function logMigrations(firstId: number, prefix: string = LOG_TABLE_PREFIX): Migration[] {
  if (!isTablePrefix(prefix)) throw new TypeError(`Cannot make tables: ${prefix} is no prefix`);
  return [{ id: firstId, name: `tamper-evident log ${prefix}`, sql: SCHEMA.replaceAll("$PREFIX", prefix) }];
}

const SCHEMA = `
CREATE TABLE $PREFIX_pending (
  receipt bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  entry bytea NOT NULL CHECK (length(entry) BETWEEN 1 AND 65535)
);
-- Rows come and go thousands a second: the pages are reused before the table grows.
ALTER TABLE $PREFIX_pending SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

CREATE TABLE $PREFIX_entries (
  index bigint PRIMARY KEY CHECK (index >= 0),
  receipt bigint NOT NULL UNIQUE,
  entry bytea NOT NULL CHECK (length(entry) BETWEEN 1 AND 65535)
);

CREATE TABLE $PREFIX_head (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  origin text,
  size bigint NOT NULL DEFAULT 0,
  root bytea NOT NULL DEFAULT '\\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    CHECK (length(root) = 32),
  signed_size bigint NOT NULL DEFAULT 0,
  checkpoint bytea,
  epoch bigint NOT NULL DEFAULT 0,
  holder text NOT NULL DEFAULT '',
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  CONSTRAINT $PREFIX_signed_in_size CHECK (signed_size BETWEEN 0 AND size)
);
INSERT INTO $PREFIX_head DEFAULT VALUES;

CREATE FUNCTION $PREFIX_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'entries of a log are never changed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER $PREFIX_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON $PREFIX_entries
  FOR EACH STATEMENT EXECUTE FUNCTION $PREFIX_refuse();
CREATE TRIGGER $PREFIX_head_stays BEFORE DELETE OR TRUNCATE ON $PREFIX_head
  FOR EACH STATEMENT EXECUTE FUNCTION $PREFIX_refuse();

CREATE FUNCTION $PREFIX_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.size < OLD.size OR NEW.signed_size < OLD.signed_size OR NEW.epoch < OLD.epoch
    OR NEW.origin IS DISTINCT FROM OLD.origin AND OLD.origin IS NOT NULL THEN
    RAISE EXCEPTION 'the head of a log never goes back' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER $PREFIX_head_forward BEFORE UPDATE ON $PREFIX_head
  FOR EACH ROW EXECUTE FUNCTION $PREFIX_forward();
`;
