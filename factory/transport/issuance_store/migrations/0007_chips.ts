/**
 * Every chip that can be told apart, once. Two chips that share diversification data or the serial fields of their
 * CPLC but not both are a clone, a mix-up or a wrong reading: the second one is refused in whichever batch it comes.
 * NULL where a chip says nothing. Serial fields: IC fabricator and type (bytes 0 to 3), fabrication date, serial
 * number and batch identifier of the IC (bytes 10 to 17).
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 7. */
export const CHIPS: Migration = {
  id: 7,
  name: "chips",
  sql: `
CREATE TABLE chips (
  chip_key text PRIMARY KEY,
  key_diversification_data text CHECK (is_hex(key_diversification_data, 10, 10))
    CONSTRAINT chip_diversification_once UNIQUE,
  cplc_serial text CHECK (is_hex(cplc_serial, 12, 12)) CONSTRAINT chip_cplc_once UNIQUE,
  first_seen_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO chips (chip_key, key_diversification_data, cplc_serial)
  SELECT chip_key, NULLIF(key_diversification_data, repeat('0', 20)), substr(cplc, 1, 8) || substr(cplc, 21, 16)
  FROM reservations WHERE chip_distinct ORDER BY serial
  ON CONFLICT DO NOTHING;
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON chips EXECUTE FUNCTION refuse_change();
`,
};
