/**
 * The attestation service's schema. What must hold, the database holds: a serial has one card for ever, a
 * batch has its own range, a state goes only as the card flow says and with its journal entry, a good card has one
 * live certificate. Byte strings are upper-case hex in text columns, so that `psql` shows them as every other tool
 * here does.
 */

import { LOG_MIGRATION_STEPS, logMigrations } from "shared/log/store/migrations.ts";
import type { Migration } from "shared/transport/postgres/migrate.ts";
import { leastRightsOfLog } from "./migrations/log_least_rights.ts";
import { ISSUANCE_SCHEMA } from "./migrations/0001_issuance_schema.ts";
import { LEAST_RIGHTS } from "./migrations/0002_least_rights.ts";
import { CARD_FLOW_STATES } from "./migrations/0003_card_flow.ts";
import { ISSUANCE_JOURNAL } from "./migrations/0004_issuance_journal.ts";
import { STATION_QUOTAS } from "./migrations/0005_station_quotas.ts";
import { IDEMPOTENT_REQUESTS } from "./migrations/0006_idempotent_requests.ts";
import { CHIPS } from "./migrations/0007_chips.ts";
import { REVOCATION_LIST } from "./migrations/0008_revocation_list.ts";
import { LEAST_RIGHTS_JOURNAL } from "./migrations/0009_least_rights.ts";
import { BATCH_STATES } from "./migrations/0010_batch_states.ts";
import { BATCH_RECORDS } from "./migrations/0011_batch_records.ts";
import { LEAST_RIGHTS_BATCHES } from "./migrations/0012_least_rights.ts";

/** The service's own steps, in order. */
export const ISSUANCE_MIGRATIONS: readonly Migration[] = [
  ISSUANCE_SCHEMA,
  LEAST_RIGHTS,
  CARD_FLOW_STATES,
  ISSUANCE_JOURNAL,
  STATION_QUOTAS,
  IDEMPOTENT_REQUESTS,
  CHIPS,
  REVOCATION_LIST,
  LEAST_RIGHTS_JOURNAL,
  BATCH_STATES,
  BATCH_RECORDS,
  LEAST_RIGHTS_BATCHES,
];

/**
 * The attestation service's whole list: its own steps, then those of its log. A step that is made later goes behind these,
 * not into {@link ISSUANCE_MIGRATIONS}.
 */
export const ATTESTATION_MIGRATIONS: readonly Migration[] = [
  ...ISSUANCE_MIGRATIONS,
  ...logMigrations(ISSUANCE_MIGRATIONS.length + 1),
  leastRightsOfLog(ISSUANCE_MIGRATIONS.length + LOG_MIGRATION_STEPS + 1),
];
