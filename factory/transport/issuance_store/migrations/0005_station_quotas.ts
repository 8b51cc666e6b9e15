/**
 * Which stations work on a batch, and how many serials each may take. A batch without rows is open to every station.
 * `reserved` counts the serials that the station took first; the check holds under any concurrency.
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 5. */
export const STATION_QUOTAS: Migration = {
  id: 5,
  name: "station-quotas",
  sql: `
CREATE TABLE batch_stations (
  batch text NOT NULL REFERENCES batches,
  station text NOT NULL REFERENCES senders,
  quota int CHECK (quota > 0),
  reserved int NOT NULL DEFAULT 0,
  PRIMARY KEY (batch, station),
  CONSTRAINT station_quota CHECK (reserved >= 0 AND (quota IS NULL OR reserved <= quota))
);
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON batch_stations EXECUTE FUNCTION refuse_change();
`,
};
