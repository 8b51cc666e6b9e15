/**
 * What a request with an Idempotency-Key was, and what it was answered. Secrets in an answer are sealed to the
 * station, so a row opens nothing here. An answer is written once, with its effect, and forgotten when it expires.
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 6. */
export const IDEMPOTENT_REQUESTS: Migration = {
  id: 6,
  name: "idempotent-requests",
  sql: `
CREATE TABLE idempotent_requests (
  sender text NOT NULL,
  key text NOT NULL CHECK (length(key) BETWEEN 1 AND 64),
  request_sha256 text NOT NULL CHECK (is_hex(request_sha256, 32, 32)),
  answer text,
  expires_at bigint NOT NULL,
  PRIMARY KEY (sender, key)
);
CREATE INDEX idempotent_requests_by_age ON idempotent_requests (expires_at);

CREATE FUNCTION guard_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.answer IS NOT NULL OR (NEW.sender, NEW.key, NEW.request_sha256, NEW.expires_at)
    IS DISTINCT FROM (OLD.sender, OLD.key, OLD.request_sha256, OLD.expires_at)
  THEN RAISE EXCEPTION 'an answer is written once' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_answer BEFORE UPDATE ON idempotent_requests FOR EACH ROW EXECUTE FUNCTION guard_answer();
`,
};
