/** Both stores of authorizations keep the same promises. */

import assert from "node:assert/strict";
import { openBackends } from "tests/environment/attestation/backends.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { memoryUpgradeStore, type UpgradeStore } from "factory/transport/update_store/port.ts";
import { postgresUpgradeStore, UPGRADE_MIGRATIONS } from "factory/transport/update_store/postgres_store.ts";
import { sqliteUpgradeStore } from "factory/transport/update_store/sqlite_store.ts";

async function promises(store: UpgradeStore): Promise<void> {
  const card = {
    serial: "7F000001",
    keyDiversificationData: "01".repeat(10),
    authorization: "AAAA",
    version: "1.1",
  };
  assert.equal(await store.find(card.keyDiversificationData), undefined);
  assert.equal(await store.keep(card), true);
  assert.equal(await store.keep({ ...card, authorization: "BBBB", version: "1.2" }), true);
  assert.equal(await store.find(card.keyDiversificationData), "BBBB");
  // A serial and its chip stay together.
  assert.equal(await store.keep({ ...card, serial: "7F000002" }), false);
  assert.equal(await store.keep({ ...card, keyDiversificationData: "02".repeat(10) }), false);
  assert.equal(await store.find(card.keyDiversificationData), "BBBB");
  assert.equal(await store.find("02".repeat(10)), undefined);
  await store.ping();
}

Deno.test("memory, SQLite and PostgreSQL keep a card's authorization, and never mix two cards", async () => {
  await promises(memoryUpgradeStore());
  const folder = await Deno.makeTempDir();
  try {
    {
      using store = sqliteUpgradeStore(`${folder}/authorizations.sqlite`);
      await promises(store);
    }
    using again = sqliteUpgradeStore(`${folder}/authorizations.sqlite`);
    assert.equal(await again.find("01".repeat(10)), "BBBB");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  await using backends = await openBackends("pglite and software HSM");
  const { database } = backends;
  const [{ id }] = await database.sql<[{ id: number }]>`SELECT count(*)::int AS id FROM pg_tables
    WHERE tablename = 'schema_migrations'`;
  if (id === 0) await migrate(database, UPGRADE_MIGRATIONS);
  else await database.sql.unsafe(UPGRADE_MIGRATIONS[0]!.sql);
  await promises(postgresUpgradeStore(database));
});
