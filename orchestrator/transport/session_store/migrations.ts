/** The orchestrator's schema. Whatever tells something about a person or a backup is inside a sealed column. */

import { logMigrations } from "shared/log/store/migrations.ts";
import type { Migration } from "shared/transport/postgres/migrate.ts";

const SCHEMA = `
CREATE TABLE recover_sessions (
  session uuid PRIMARY KEY,
  phase text NOT NULL,
  ended boolean NOT NULL,
  version int NOT NULL CHECK (version > 0),
  sealed bytea NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX recover_sessions_unfinished ON recover_sessions (changed_at) WHERE NOT ended;

CREATE TABLE recover_backups (
  backup_id bytea PRIMARY KEY CHECK (length(backup_id) = 16),
  state text NOT NULL CHECK (state IN ('pending', 'stored', 'deleting', 'deleted')),
  sealed bytea NOT NULL
);
`;

/** Steps of the schema. */
export const SESSION_MIGRATIONS: readonly Migration[] = [
  { id: 1, name: "recover sessions", sql: SCHEMA },
  ...logMigrations(2),
];
