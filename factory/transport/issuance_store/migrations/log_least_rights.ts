/** What the service's role gets of the log's tables: it adds entries and moves them behind the last index; it changes none. */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** The step behind the log's own. */
export function leastRightsOfLog(id: number): Migration {
  return {
    id,
    name: "log-least-rights",
    sql: `
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recovery_key_attestation') THEN
    GRANT SELECT, INSERT, DELETE ON log_pending TO recovery_key_attestation;
    GRANT SELECT, INSERT ON log_entries TO recovery_key_attestation;
    GRANT SELECT, UPDATE ON log_head TO recovery_key_attestation;
  END IF;
END $$;
`,
  };
}
