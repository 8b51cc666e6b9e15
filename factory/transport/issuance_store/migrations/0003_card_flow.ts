/**
 * The states of a card's record and every way from one to another, as rows: the same table as the domain's
 * CARD_FLOW, which a test compares. A good, an installed and an attested card has one live certificate; a missing
 * one keeps what it had, held on the revocation list.
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 3. */
export const CARD_FLOW_STATES: Migration = {
  id: 3,
  name: "card-flow",
  sql: `
CREATE TABLE card_flow (
  from_state text NOT NULL,
  event text NOT NULL,
  to_state text NOT NULL,
  PRIMARY KEY (from_state, event)
);
INSERT INTO card_flow (from_state, event, to_state) VALUES
  ('none', 'reserve', 'reserved'),
  ('reserved', 'reserve-again', 'reserved'),
  ('reserved', 'see-key', 'key-seen'),
  ('reserved', 'close-scrapped', 'scrapped'),
  ('reserved', 'lose', 'missing'),
  ('key-seen', 'reserve-again', 'reserved'),
  ('key-seen', 'see-key', 'key-seen'),
  ('key-seen', 'attest', 'attested'),
  ('key-seen', 'close-scrapped', 'scrapped'),
  ('key-seen', 'lose', 'missing'),
  ('attested', 'reserve-again', 'attested'),
  ('attested', 'see-key', 'key-seen'),
  ('attested', 'install', 'installed'),
  ('attested', 'close-good', 'good'),
  ('attested', 'close-scrapped', 'scrapped'),
  ('attested', 'lose', 'missing'),
  ('installed', 'reserve-again', 'installed'),
  ('installed', 'close-good', 'good'),
  ('installed', 'close-scrapped', 'scrapped'),
  ('installed', 'lose', 'missing'),
  ('missing', 'correct-good', 'good'),
  ('missing', 'correct-scrapped', 'scrapped');
CREATE TRIGGER never_changed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON card_flow
  EXECUTE FUNCTION refuse_change();

ALTER TABLE reservations
  ADD COLUMN seen_public_key text CHECK (is_hex(seen_public_key, 65, 65)),
  DROP CONSTRAINT reservations_state_check,
  ADD CONSTRAINT state_known CHECK (
    state IN ('reserved', 'key-seen', 'attested', 'installed', 'good', 'scrapped', 'missing')),
  DROP CONSTRAINT live_certificate_by_state,
  ADD CONSTRAINT live_certificate_by_state CHECK (
    CASE WHEN state IN ('attested', 'installed', 'good') THEN live_certificate IS NOT NULL
      ELSE live_certificate IS NULL OR state = 'missing' END),
  ADD CONSTRAINT key_seen_has_key CHECK (state <> 'key-seen' OR seen_public_key IS NOT NULL);

DROP INDEX chip_in_flight_once;
CREATE UNIQUE INDEX chip_in_flight_once ON reservations (batch, chip_key)
  WHERE NOT chip_distinct AND state IN ('reserved', 'key-seen', 'attested', 'installed');
DROP INDEX chip_attested_once;
CREATE UNIQUE INDEX chip_attested_once ON reservations (chip_key)
  WHERE chip_distinct AND state IN ('attested', 'installed', 'good');
`,
};
