import assert from "node:assert/strict";
import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import type { Migration } from "shared/transport/postgres/migrate.ts";
import {
  assertContinues,
  assertIncluded,
  type LogDatabaseKind,
  openLogFixture,
  readLog,
} from "tests/environment/log/fixture.ts";

const KINDS: readonly LogDatabaseKind[] = ["PGlite", "PostgreSQL"];

/** What a service that uses the log has in its own list, behind the log's steps. */
const service = (firstId: number): Migration[] => [
  { id: firstId, name: "cards", sql: "create table cards (serial bigint primary key, state text not null)" },
];

for (const kind of KINDS) {
  Deno.test(`ServiceLog over ${kind}: a row and its entry in one transaction, the effect behind it`, async () => {
    await using fixture = await openLogFixture(kind, service);
    const { database } = fixture;
    const log = await fixture.open();
    log.start();
    const effects: bigint[] = [];

    /** The whole of what a service does: state and entry together, then the effect. */
    const attest = async (serial: bigint, entry: string) => {
      const [receipt] = await database.transaction(async (sql) => {
        await sql`insert into cards values (${serial}, 'attested')`;
        return await log.appendInTransaction(sql, toUtf8(entry));
      });
      log.committed();
      effects.push(serial); // the certificate leaves the service
      return receipt!;
    };

    const receipts = await Promise.all(
      Array.from({ length: 100 }, (_, i) => attest(BigInt(i), `attested ${i}`)),
    );
    // The second one of a serial fails as a whole: no row, no entry, no effect.
    await assert.rejects(attest(7n, "attested 7 again"), { code: "DATABASE_DUPLICATE" });
    assert.equal(effects.length, 100);

    const found = await Promise.all(receipts.map((receipt) => log.included(receipt)));
    const read = await readLog(await fixture.tiles());
    assert.equal(read.size, 100);
    assert.deepEqual(new Set(found.map(({ index }) => index)).size, 100);
    for (const [i, { index }] of found.entries()) {
      await assertIncluded(read, index, toUtf8(`attested ${i}`));
    }
    assert.ok(!read.entries.some((entry) => fromUtf8(entry).includes("again")));

    // A later entry continues the same tree, also from another instance behind this one.
    await log.stop();
    const next = await fixture.open();
    next.start();
    const late = await next.included(await next.append(toUtf8("late")));
    assert.equal(late.index, 100);
    await next.stop();
    await assertContinues(read, await readLog(await fixture.tiles()));
  });

  Deno.test(`ServiceLog over ${kind}: an entry that cannot be written is refused`, async () => {
    await using fixture = await openLogFixture(kind);
    const log = await fixture.open();
    await assert.rejects(log.append(new Uint8Array()), { code: "LOG_ENTRY_LENGTH" });
    await assert.rejects(log.append(new Uint8Array(65_536)), { code: "LOG_ENTRY_LENGTH" });
    // One bad entry does not take its group with it.
    const group = await Promise.allSettled([
      log.append(toUtf8("good")),
      log.append(new Uint8Array()),
      log.append(new Uint8Array(65_535).fill(1)),
    ]);
    assert.deepEqual(group.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
    await fixture.database.sql.unsafe("alter table log_pending rename to log_gone");
    await assert.rejects(log.append(toUtf8("lost")), { code: "DATABASE_QUERY" });
    await fixture.database.sql.unsafe("alter table log_gone rename to log_pending");
    log.start();
    await log.included(await log.append(toUtf8("back")));
    await log.stop();
    assert.equal((await readLog(await fixture.tiles())).size, 3);
  });
}

Deno.test("ServiceLog: the database crashes while entries come: what was acknowledged is there behind it", async () => {
  await using fixture = await openLogFixture("PostgreSQL");
  const log = await fixture.open({ leaseMs: 500 });
  log.start();
  await log.included(await log.append(toUtf8("before")), 60_000);
  const acknowledged: string[] = [];
  let refused = 0;
  let ended = false;
  const callers = Array.from({ length: 20 }, async (_, caller) => {
    for (let i = 0; !ended; i++) {
      const entry = `caller ${caller} entry ${i}`;
      try {
        await log.append(toUtf8(entry));
        acknowledged.push(entry);
      } catch {
        refused++; // and the caller's effect did not happen
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });
  while (acknowledged.length < 200) await new Promise((resolve) => setTimeout(resolve, 5));
  await fixture.postgres!.kill();
  while (refused < 20) await new Promise((resolve) => setTimeout(resolve, 5));
  const before = await readLog(await fixture.tiles());
  await fixture.postgres!.restart();
  const count = acknowledged.length;
  while (acknowledged.length < count + 100) await new Promise((resolve) => setTimeout(resolve, 5));
  ended = true;
  await Promise.all(callers);
  await log.included(await log.append(toUtf8("behind")), 60_000);
  await log.stop();
  const after = await readLog(await fixture.tiles());
  await assertContinues(before, after);
  const present = new Set(after.entries.map(fromUtf8));
  for (const entry of acknowledged) assert.ok(present.has(entry), entry);
});
