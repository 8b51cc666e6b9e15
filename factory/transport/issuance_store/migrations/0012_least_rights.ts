/** What the service's role gets of steps 10 and 11: it appends, and changes a batch's state and nothing else of it. */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 12. */
export const LEAST_RIGHTS_BATCHES: Migration = {
  id: 12,
  name: "batch-least-rights",
  sql: `
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recovery_key_attestation') THEN
    GRANT SELECT, INSERT ON batch_journal, card_records, batch_manifests TO recovery_key_attestation;
    GRANT UPDATE (state, entries, judged_from) ON batches TO recovery_key_attestation;
  END IF;
END $$;
`,
};
