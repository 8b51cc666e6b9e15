/** Authorizations in a SQLite file, for the instances of one machine. */

import { DatabaseSync } from "node:sqlite";
import { fromHex } from "shared/base/bytes.ts";
import type { UpgradeStore } from "./port.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS card_upgrades (
  key_diversification_data BLOB PRIMARY KEY CHECK (length(key_diversification_data) = 10),
  serial BLOB NOT NULL UNIQUE CHECK (length(serial) = 4),
  sealed_authorization TEXT NOT NULL,
  version TEXT NOT NULL
) STRICT;
`;
/** Another instance writes for at most so long, in milliseconds. */
const BUSY_MS = 2_000;

/** Opens the file, making it when there is none. It writes two more beside it. */
export function sqliteUpgradeStore(file: string): UpgradeStore & Disposable {
  const database = new DatabaseSync(file, { timeout: BUSY_MS });
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  database.exec(SCHEMA);
  const others = database.prepare(
    "SELECT count(*) AS count FROM card_upgrades WHERE (key_diversification_data = ?1) <> (serial = ?2)",
  );
  const put = database.prepare(
    `INSERT INTO card_upgrades (key_diversification_data, serial, sealed_authorization, version) VALUES (?, ?, ?, ?)
     ON CONFLICT (key_diversification_data) DO UPDATE
     SET sealed_authorization = excluded.sealed_authorization, version = excluded.version`,
  );
  const get = database.prepare(
    "SELECT sealed_authorization AS sealed FROM card_upgrades WHERE key_diversification_data = ?",
  );
  return {
    keep({ keyDiversificationData, serial, authorization, version }) {
      const kdd = fromHex(keyDiversificationData);
      database.exec("BEGIN IMMEDIATE");
      try {
        const known = others.get(kdd, fromHex(serial)) as { count: number };
        if (known.count === 0) put.run(kdd, fromHex(serial), authorization, version);
        database.exec("COMMIT");
        return Promise.resolve(known.count === 0);
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      }
    },
    find(keyDiversificationData) {
      const row = get.get(fromHex(keyDiversificationData)) as { sealed: string } | undefined;
      return Promise.resolve(row?.sealed);
    },
    ping() {
      database.prepare("SELECT 1").get();
      return Promise.resolve();
    },
    [Symbol.dispose]: () => database.close(),
  };
}
