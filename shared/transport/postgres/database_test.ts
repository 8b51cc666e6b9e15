import assert from "node:assert/strict";
import { codeOf } from "shared/base/errors.ts";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { openForTest, testDatabaseConformance } from "tests/conformance/database.ts";
import { refusesWith } from "tests/conformance/hsm.ts";
import { type Postgres, startPostgres } from "tests/environment/postgres.ts";
import { openDatabase } from "./database.ts";
import { parseAddress } from "./address.ts";

async function withPostgres(tls: boolean): Promise<Postgres & { directory: string }> {
  const directory = await Deno.makeTempDir({ prefix: "rk-postgres-test-" });
  const server = await startPostgres({ directory, tls });
  const dispose = async () => {
    await server.stop();
    await Deno.remove(directory, { recursive: true });
  };
  return { ...server, directory, [Symbol.asyncDispose]: dispose };
}

for (const tls of [false, true]) {
  testDatabaseConformance(tls ? "PostgreSQL over TLS" : "PostgreSQL over a Unix socket", async () => {
    const server = await withPostgres(tls);
    return {
      open: (options) =>
        openDatabase({
          url: server.url,
          ...(server.tls ? { tls: server.tls } : {}),
          applicationName: "test",
          ...options,
        }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  });
}

Deno.test("openDatabase() needs TLS, the right authority, the right name and its own certificate", async () => {
  await using server = await withPostgres(true);
  const good = server.tls!;
  const { url } = server;
  const attempt = async (options: Partial<Parameters<typeof openDatabase>[0]>) => {
    await using database = openForTest({ url, applicationName: "test", max: 1, ...options });
    await database.ping(10_000);
    const [row] = await database.sql`select version, client_dn from pg_stat_ssl where pid = pg_backend_pid()`;
    return row;
  };
  assert.deepEqual({ ...await attempt({ tls: good }) }, {
    version: "TLSv1.3",
    client_dn: "/CN=recovery_key",
  });
  await attempt({ tls: { ...good, serverName: "localhost" } });

  const now = Date.now();
  const rogue = await makeAuthority("test database authority", { now });
  const foreign = await issue(rogue, { now, commonName: "recovery_key" });
  const other = `${server.directory}/other`;
  await Deno.writeTextFile(`${other}.ca`, rogue.certificatePem);
  await Deno.writeTextFile(`${other}.pem`, foreign.certificatePem);
  await Deno.writeTextFile(`${other}.key`, foreign.privateKeyPem);

  await refusesWith("DATABASE_ACCESS", attempt({}));
  await refusesWith("DATABASE_ACCESS", attempt({ tls: { ...good, caFile: `${other}.ca` } }));
  await refusesWith("DATABASE_ACCESS", attempt({ tls: { ...good, serverName: "example.org" } }));
  await refusesWith(
    "DATABASE_ACCESS",
    attempt({ tls: good, url: url.replace("//recovery_key@", "//postgres@") }),
  );
  await refusesWith("DATABASE_TLS", attempt({ tls: { ...good, keyFile: "/nonexistent" } }));
  // The server ends the handshake of a foreign certificate: over TLS 1.3 that shows as a connection that breaks.
  const error = await attempt({ tls: { ...good, certFile: `${other}.pem`, keyFile: `${other}.key` } })
    .then(() => assert.fail("not refused"), (error: unknown) => error);
  assert.match(codeOf(error), /^DATABASE_(ACCESS|UNAVAILABLE)$/);
});

Deno.test("a server that goes away fails as unavailable and is found again", async () => {
  await using server = await withPostgres(false);
  await using database = openForTest({ url: server.url, applicationName: "test", max: 4 });
  await database.sql`create table t (a int)`;
  await Promise.all([1, 2, 3, 4].map((a) => database.sql`insert into t values (${a})`));
  await server.kill();
  await refusesWith("DATABASE_UNAVAILABLE", database.sql`select 1`);
  await refusesWith("DATABASE_UNAVAILABLE", database.transaction((sql) => sql`select 1`));
  await refusesWith("DATABASE_UNAVAILABLE", database.ping());
  await server.restart();
  assert.equal((await database.sql`select 1 from t`).length, 4);
});

Deno.test("a connection that is lost inside a transaction ends it: nothing more runs, on no other connection", async () => {
  await using server = await withPostgres(false);
  await using database = openForTest({ url: server.url, applicationName: "test", max: 4 });
  await using other = openForTest({
    url: server.url.replace("//recovery_key@", "//postgres@"),
    applicationName: "other",
  });
  await database.sql`create table t (a int)`;
  const cut = async (pid: number) => {
    await other.sql`select pg_terminate_backend(${pid}, 10000)`;
  };
  // While it waits for something else.
  await refusesWith(
    "DATABASE_UNAVAILABLE",
    database.transaction(async (sql) => {
      const [row] = await sql`select pg_backend_pid() as pid`;
      await sql`insert into t values (1)`;
      await cut(row!.pid);
      await new Promise((resolve) => setTimeout(resolve, 50)); // lets the end of the connection arrive
      await sql`insert into t values (2)`;
    }),
  );
  // At once after a query that failed with it.
  await refusesWith(
    "DATABASE_UNAVAILABLE",
    database.transaction(async (sql) => {
      const [row] = await sql`select pg_backend_pid() as pid`;
      await Promise.all([sql`select pg_sleep(30)`.catch(() => {}), cut(row!.pid)]);
      await sql`insert into t values (3)`;
    }),
  );
  assert.equal((await other.sql`select 1 from t`).length, 0);
  await database.sql`insert into t values (4)`;
});

Deno.test("more transactions and single queries than connections wait for their turn, in any order", async () => {
  await using server = await withPostgres(false);
  for (const max of [1, 2, 4]) {
    await using database = openForTest({ url: server.url, applicationName: "test", max });
    const all = Array.from(
      { length: 60 },
      (_, i) =>
        i % 3 === 0
          ? database.sql`select ${i}::int as value`
          : database.transaction((sql) => sql<{ value: number }[]>`select ${i}::int as value`),
    );
    const values = (await Promise.all(all)).map((rows) => rows[0]!.value);
    assert.deepEqual(values, Array.from({ length: 60 }, (_, i) => i), `${max} connections`);
  }
});

Deno.test("limits of the server and of the client become DATABASE_TIMEOUT and DATABASE_UNAVAILABLE", async () => {
  await using server = await withPostgres(false);
  const base = { url: server.url, applicationName: "test", max: 4 };
  await using slow = openForTest({ ...base, statementTimeoutMs: 50, lockTimeoutMs: 50 });
  await refusesWith("DATABASE_TIMEOUT", slow.sql`select pg_sleep(30)`);
  await slow.sql`create table t (a int)`;
  const gate = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holder = slow.transaction(async (sql) => {
    await sql`lock table t`;
    locked.resolve();
    await gate.promise;
  });
  await locked.promise;
  await refusesWith("DATABASE_TIMEOUT", slow.sql`select * from t`);
  gate.resolve();
  await holder;

  await using impatient = openForTest({ ...base, statementTimeoutMs: 60_000, deadlineMs: 100 });
  await impatient.ping(10_000).catch(() => {});
  await refusesWith("DATABASE_UNAVAILABLE", impatient.sql`select pg_sleep(1)`);
});

Deno.test("parseAddress() takes what it documents and refuses the rest", async () => {
  assert.equal(parseAddress("postgres://r@[::1]:1/d").host, "::1");
  assert.equal(parseAddress("postgres://r@h/d").port, 5432);
  assert.equal(parseAddress("postgres://r@localhost:7/d?host=%2Fa%2Fb").socket, "/a/b/.s.PGSQL.7");
  for (
    const bad of [
      "",
      "h:1/d",
      "http://r@h/d",
      "postgres://h/d",
      "postgres://r@h/",
      "postgres://r@h/d/e",
      "postgres://r:password@h/d",
      "postgres://r@h/d?sslmode=disable",
      "postgres://r@h/d?host=relative",
      "postgres://r@a,b/d",
    ]
  ) {
    const error = await Promise.resolve().then(() => parseAddress(bad)).then(
      () => assert.fail(`taken: ${bad}`),
      (error: unknown) => error,
    );
    assert.equal(codeOf(error), "DATABASE_ADDRESS", bad);
    assert.ok(!String(error).includes("r:password"));
  }
});
