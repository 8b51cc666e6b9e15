/** What a database must do for our services, be it a PostgreSQL server or the embedded one. */

import assert from "node:assert/strict";
import { codeOf } from "shared/base/errors.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { migrate, type Migration } from "shared/transport/postgres/migrate.ts";
import { refusesWith } from "./hsm.ts";

/** A database that runs. */
export interface DatabaseUnderTest extends AsyncDisposable {
  open(options?: { max?: number }): Database;
}

const STEPS: Migration[] = [
  {
    id: 1,
    name: "cards",
    sql: "create table cards (serial bigint primary key, data bytea); create index on cards (data)",
  },
  { id: 2, name: "counter", sql: "create table counters (name text primary key, value bigint not null)" },
  { id: 3, name: "row", sql: "insert into counters values ('serial', 0)" },
];

/** Declares the suite; `prepare` gives an empty database. */
export function testDatabaseConformance(name: string, prepare: () => Promise<DatabaseUnderTest>): void {
  Deno.test(`${name} keeps the contract of the database`, async (t) => {
    await using under = await prepare();

    await t.step("migrate() by four instances at once applies each step once", async () => {
      const instances = Array.from({ length: 4 }, () => under.open());
      const reports = await Promise.all(instances.map((database) => migrate(database, STEPS)));
      assert.deepEqual(reports.flatMap((report) => report.applied).sort(), [1, 2, 3]);
      for (const report of reports) assert.equal(report.version, 3);
      const [row] = await instances[0]!.sql`select count(*) as n from schema_migrations`;
      assert.equal(row!.n, 3n);
      await Promise.all(instances.map((database) => database.close()));
    });

    await using database = closing(under.open({ max: 8 }));
    const { sql } = database;

    await t.step(
      "migrate() refuses changed, missing and misnumbered steps, and undoes a failed one",
      async () => {
        const changed = STEPS.map((step) => step.id === 2 ? { ...step, sql: step.sql + " " } : step);
        await refusesWith("MIGRATION_CHANGED", migrate(database, changed));
        await refusesWith("MIGRATION_CHANGED", migrate(database, STEPS.slice(0, 2)));
        await refusesWith("MIGRATION_LIST", migrate(database, STEPS.slice(1)));
        const failing = {
          id: 4,
          name: "half",
          sql: "create table half (a int); select nothing from nowhere",
        };
        await refusesWith("MIGRATION_FAILED", migrate(database, [...STEPS, failing]));
        const [row] = await sql`select to_regclass('half') as half`;
        assert.equal(row!.half, null);
        assert.deepEqual((await migrate(database, STEPS)).applied, []);
      },
    );

    await t.step("types come back as they went in", async () => {
      const large = 2n ** 62n + 1n;
      const data = Uint8Array.from({ length: 256 }, (_, i) => i);
      await sql`insert into cards (serial, data) values (${large}, ${data})`;
      const [row] = await sql<{ serial: bigint; data: Uint8Array; none: null }[]>`
        select serial, data, null::bytea as none from cards where serial = ${large} and data = ${data}`;
      assert.equal(row!.serial, large);
      assert.ok(row!.data instanceof Uint8Array);
      assert.equal(row!.data.constructor, Uint8Array);
      assert.deepEqual(row!.data, data);
      assert.equal(row!.none, null);
      const when = new Date("2026-01-02T03:04:05.678Z");
      const [other] = await sql`
        select 7::int4 as i, true as b, ${when}::timestamptz as t, ${sql.json({ a: [1] })}::jsonb as j,
          'é'::text as s, 1.50::numeric as n, ''::bytea as e`;
      assert.deepEqual({ ...other }, {
        i: 7,
        b: true,
        t: when,
        j: { a: [1] },
        s: "é",
        n: "1.50",
        e: new Uint8Array(),
      });
      assert.equal((await sql`select 1 from cards where serial in ${sql([1n, large])}`).length, 1);
      const nested = sql`where serial = ${large}`;
      assert.equal((await sql`select 1 from cards ${nested}`).length, 1);
    });

    await t.step("queries of many connections do not mix", async () => {
      const wrong: unknown[] = [];
      await Promise.all(Array.from({ length: 300 }, async (_, i) => {
        if (i % 3 === 0) {
          const [row] = await sql`select ${i}::int as v`;
          if (row!.v !== i) wrong.push(row);
        } else if (i % 3 === 1) {
          const [row] = await sql`select ${"t" + i}::text as w, ${i}::int as v`;
          if (row!.w !== "t" + i || row!.v !== i) wrong.push(row);
        } else {
          await refusesWith("DATABASE_QUERY", sql`select ${"x" + i}::int`);
        }
      }));
      assert.deepEqual(wrong, []);
    });

    await t.step("concurrent transactions have the effect of some order of them", async () => {
      await sql`update counters set value = 0`;
      const drawn = await Promise.all(Array.from({ length: 24 }, () =>
        database.transaction(async (tx) => {
          const [row] = await tx<{ value: bigint }[]>`select value from counters where name = 'serial'`;
          await Promise.resolve();
          await tx`update counters set value = ${row!.value + 1n} where name = 'serial'`;
          return [row!.value];
        }, { attempts: 100 })));
      assert.deepEqual(
        drawn.flat().map(Number).sort((a, b) => a - b),
        Array.from({ length: 24 }, (_, i) => i),
      );
    });

    await t.step("a failed transaction leaves nothing, and its own error passes", async () => {
      const mine = new Error("mine");
      await assert.rejects(
        database.transaction(async (tx) => {
          await tx`insert into cards (serial) values (1)`;
          throw mine;
        }),
        (error) => error === mine,
      );
      await refusesWith(
        "DATABASE_DUPLICATE",
        database.transaction(async (tx) => {
          await tx`insert into cards (serial) values (1)`;
          await tx`insert into cards (serial) values (1)`;
        }),
      );
      await refusesWith(
        "DATABASE_DUPLICATE",
        database.transaction(async (tx) => {
          await tx`insert into cards (serial) values (1)`;
          await tx`insert into cards (serial) values (1)`.catch(() => {});
        }),
      );
      assert.equal((await sql`select 1 from cards where serial = 1`).length, 0);
    });

    await t.step("a conflict is tried again, as often as told", async () => {
      let tries = 0;
      const conflict = "do $$ begin raise exception using errcode = '40001'; end $$";
      await refusesWith(
        "DATABASE_CONFLICT",
        database.transaction(async (tx) => {
          tries++;
          await tx.unsafe(conflict);
        }, { attempts: 3 }),
      );
      assert.equal(tries, 3);
      assert.equal(
        await database.transaction(async (tx) => {
          if (++tries < 6) await tx.unsafe(conflict);
          return tries;
        }),
        6,
      );
    });

    await t.step("errors hold no value of the query", async () => {
      const marked = "marked-secret-4711";
      const failing = [
        sql`select ${marked}::int`,
        sql`insert into counters values (${marked}, 1), (${marked}, 2)`,
        sql`select * from ${sql("no_" + "table")} where a = ${marked}`,
        sql`insert into counters values (${marked}, null)`,
      ];
      for (const query of failing) {
        const error = await query.then(() => assert.fail("not refused"), (error: unknown) => error);
        assert.match(codeOf(error), /^DATABASE_(QUERY|DUPLICATE|CONSTRAINT)$/);
        assert.ok(!Deno.inspect(error, { depth: 10 }).includes(marked));
        assert.ok(!JSON.stringify(error).includes(marked));
      }
    });

    await t.step("ping() answers; close() ends it", async () => {
      await database.ping();
      const other = under.open();
      await other.ping();
      await other.close();
      await refusesWith("DATABASE_UNAVAILABLE", other.ping());
    });
  });
}

/** Opens a database for a test. */
export function openForTest(options: Parameters<typeof openDatabase>[0]): Database & AsyncDisposable {
  return closing(openDatabase(options));
}

function closing(database: Database): Database & AsyncDisposable {
  return Object.assign(database, { [Symbol.asyncDispose]: () => database.close() });
}
