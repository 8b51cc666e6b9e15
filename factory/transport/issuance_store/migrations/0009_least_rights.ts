/** What the service's role gets of steps 3 to 8: it appends to the journal and can change or remove none of it. */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 9. */
export const LEAST_RIGHTS_JOURNAL: Migration = {
  id: 9,
  name: "issuance-journal-least-rights",
  sql: `
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recovery_key_attestation') THEN
    GRANT SELECT ON card_flow, issuance_journal, batch_stations, idempotent_requests, chips, revocation_list
      TO recovery_key_attestation;
    GRANT INSERT ON issuance_journal, batch_stations, idempotent_requests, chips, revocation_list
      TO recovery_key_attestation;
    GRANT UPDATE (reserved) ON batch_stations TO recovery_key_attestation;
    GRANT UPDATE (answer) ON idempotent_requests TO recovery_key_attestation;
    GRANT DELETE ON idempotent_requests TO recovery_key_attestation;
    GRANT UPDATE (entries, seen_public_key) ON reservations TO recovery_key_attestation;
    GRANT UPDATE (revocation_reason) ON certificates TO recovery_key_attestation;
    GRANT UPDATE (number, this_update, next_update, entries, entries_sha256, list) ON revocation_list
      TO recovery_key_attestation;
  END IF;
END $$;
`,
};
