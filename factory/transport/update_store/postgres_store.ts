/** Authorizations in PostgreSQL, for every instance of the update service. */

import { fromHex } from "shared/base/bytes.ts";
import type { Database } from "shared/transport/postgres/database.ts";
import type { Migration } from "shared/transport/postgres/migrate.ts";
import type { UpgradeStore } from "./port.ts";

const SCHEMA = `
CREATE TABLE card_upgrades (
  key_diversification_data bytea PRIMARY KEY CHECK (length(key_diversification_data) = 10),
  serial bytea NOT NULL UNIQUE CHECK (length(serial) = 4),
  sealed_authorization bytea NOT NULL,
  version text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);
`;

/** Steps of the schema. */
export const UPGRADE_MIGRATIONS: readonly Migration[] = [{ id: 1, name: "card upgrades", sql: SCHEMA }];

const bytea = (hex: string) => new Uint8Array(fromHex(hex));

/** Opens the store over a migrated database. */
export function postgresUpgradeStore(database: Database): UpgradeStore {
  return {
    async keep({ keyDiversificationData, serial, authorization, version }) {
      const kdd = bytea(keyDiversificationData);
      const sealed = Uint8Array.fromBase64(authorization);
      return await database.transaction(async (sql) => {
        const known = await sql<{ same: boolean }[]>`
          SELECT key_diversification_data = ${kdd} AND serial = ${bytea(serial)} AS same FROM card_upgrades
          WHERE key_diversification_data = ${kdd} OR serial = ${bytea(serial)} FOR UPDATE`;
        if (known.some(({ same }) => !same)) return false;
        await sql`
          INSERT INTO card_upgrades (key_diversification_data, serial, sealed_authorization, version)
          VALUES (${kdd}, ${bytea(serial)}, ${sealed}, ${version})
          ON CONFLICT (key_diversification_data) DO UPDATE
          SET sealed_authorization = EXCLUDED.sealed_authorization, version = EXCLUDED.version, changed_at = now()`;
        return true;
      }, { isolation: "read committed" });
    },
    async find(keyDiversificationData) {
      const [row] = await database.sql<{ sealed: Uint8Array }[]>`
        SELECT sealed_authorization AS sealed FROM card_upgrades
        WHERE key_diversification_data = ${bytea(keyDiversificationData)}`;
      return row && new Uint8Array(row.sealed).toBase64();
    },
    ping: () => database.ping(),
  };
}
