import assert from "node:assert/strict";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { startPostgres } from "tests/environment/postgres.ts";
import { ISSUANCE_MIGRATIONS } from "./migrations.ts";
import { IssuanceStore } from "./store.ts";

const hex = (byte: string, length: number) => byte.repeat(length);
const ids = Array.from({ length: 4 }, () => crypto.randomUUID());

/** Records of every state that step 2 knew, as that version of the service wrote them. */
const OLD_ROWS = `
INSERT INTO senders (name, role) VALUES ('line-1', 'station'), ('office', 'batch-manager');
INSERT INTO batches (name, quantity, profile_name, profile_sha256, target_id, target_device, anonymous_chips,
    first_serial, last_serial, next_serial, created_by)
  VALUES ('old', 9, 'test-card', '${hex("AA", 32)}', '33400004', '05', false, 1, 9, 5, 'office');
INSERT INTO reservations (id, batch, station, serial, chip_key, chip_distinct, cplc, key_diversification_data, state,
    personalization_key, live_certificate)
  SELECT id::uuid, 'old', 'line-1', n, 'chip-' || n, true, repeat('0' || n, 42), repeat('0' || n, 10), state,
    repeat('04', 65), certificate
  FROM (VALUES
    ('${ids[0]}', 1, 'reserved', NULL),
    ('${ids[1]}', 2, 'attested', '${hex("22", 32)}'),
    ('${ids[2]}', 3, 'good', '${hex("33", 32)}'),
    ('${ids[3]}', 4, 'scrapped', NULL)) AS old (id, n, state, certificate);
INSERT INTO certificates (sha256, reservation, public_key, certificate, issuer_public_key, station, revoked_at)
  SELECT repeat(n, 32), id::uuid, repeat(n, 65), repeat(n, 100), repeat('04', 65), 'line-1', revoked::timestamptz
  FROM (VALUES ('${ids[1]}', '22', NULL), ('${ids[2]}', '33', NULL), ('${ids[3]}', '44', '2030-01-01'))
    AS old (id, n, revoked);
`;

Deno.test("ISSUANCE_MIGRATIONS take over the records of an older database, and work on them goes on", async () => {
  const directory = await Deno.makeTempDir({ prefix: "rk-upgrade-" });
  try {
    await using server = await startPostgres({ directory });
    const database = openDatabase({ url: server.socketUrl, applicationName: "upgrade", max: 2 });
    try {
      await migrate(database, ISSUANCE_MIGRATIONS.slice(0, 2));
      await database.transaction((sql) => sql.unsafe(OLD_ROWS).then(() => {}));
      await migrate(database, ISSUANCE_MIGRATIONS);
      const { sql } = database;
      const rows = await sql<{ state: string; event: string; entry: number }[]>`
        SELECT r.state, j.event, j.entry FROM reservations r
        JOIN issuance_journal j ON (j.reservation, j.entry, j.to_state) = (r.id, r.entries, r.state) ORDER BY r.serial`;
      assert.deepEqual(rows.map((row) => [row.state, row.event, row.entry]), [
        ["reserved", "adopt", 1],
        ["attested", "adopt", 1],
        ["good", "adopt", 1],
        ["scrapped", "adopt", 1],
      ]);
      const store = new IssuanceStore(database);
      const by = { sender: "line-1" };
      await store.transaction((one) =>
        one.transition({ reservation: ids[1]!, event: "install", from: "attested", to: "installed", by })
      );
      await store.transaction((one) =>
        one.seeKey({
          reservation: ids[0]!,
          event: "see-key",
          from: "reserved",
          to: "key-seen",
          by,
          publicKey: hex("55", 65),
        }, null)
      );
      assert.deepEqual((await store.revocations()).revoked, [
        { certificateSha256: hex("44", 32), serial: 4, reason: "scrapped" },
      ]);
      const parts = { diversification: hex("02", 10), cplcSerial: null };
      const twin = await store.transaction((one) => one.chipElsewhere("other", "chip-new", parts));
      assert.deepEqual(twin, { elsewhere: [], twin: true });
    } finally {
      await database.close();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
