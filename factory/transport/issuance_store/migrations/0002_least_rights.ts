/**
 * The role that runs the service may be another than the owner of the schema: create it before migrating,
 * and it gets no more than this. It can remove nothing but spent nonces.
 */

import type { Migration } from "shared/transport/postgres/migrate.ts";

/** Step 2. */
export const LEAST_RIGHTS: Migration = {
  id: 2,
  name: "issuance-least-rights",
  sql: `
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recovery_key_attestation') THEN
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO recovery_key_attestation;
    GRANT INSERT ON batches, reservations, certificates, closures, test_wallets, host_certificates,
      card_key_releases, request_nonces TO recovery_key_attestation;
    GRANT INSERT (name, role), UPDATE (role) ON senders TO recovery_key_attestation;
    GRANT UPDATE ON serial_allocator, card_key_releases TO recovery_key_attestation;
    GRANT UPDATE (next_serial) ON batches TO recovery_key_attestation;
    GRANT UPDATE (station, state, personalization_key, live_certificate, times_reserved, changed_at)
      ON reservations TO recovery_key_attestation;
    GRANT UPDATE (revoked_at, superseded_by) ON certificates TO recovery_key_attestation;
    GRANT DELETE ON request_nonces TO recovery_key_attestation;
  END IF;
END $$;
`,
};
