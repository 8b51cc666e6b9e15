import assert from "node:assert/strict";
import { concat, toUtf8, writeUint } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { openForTest, testDatabaseConformance } from "tests/conformance/database.ts";
import { refusesWith } from "tests/conformance/hsm.ts";
import { openDatabase } from "../postgres/database.ts";
import { message, zeroEnded } from "./framing.ts";
import { parseListen, type PGliteServer, startPGliteServer } from "./server.ts";

const logger = createLogger("test", { write: () => {} });

async function withServer(options: { unix?: boolean; idleLimitMs?: number; maxConnections?: number } = {}) {
  const directory = await Deno.makeTempDir({ prefix: "rk-pglite-" });
  const server = await startPGliteServer({
    directory,
    logger,
    listen: parseListen(options.unix ? `unix:${directory}/.s.PGSQL.5432` : "127.0.0.1:0"),
    onDeath: (error) => assert.fail(String(error)),
    ...options,
  });
  const dispose = async () => {
    await server.stop();
    await Deno.remove(directory, { recursive: true });
  };
  return { directory, server, [Symbol.asyncDispose]: dispose };
}

for (const unix of [false, true]) {
  testDatabaseConformance(unix ? "PGlite over a Unix socket" : "PGlite over TCP", async () => {
    const { server, [Symbol.asyncDispose]: dispose } = await withServer({ unix });
    return {
      open: (options) => openDatabase({ url: server.url, applicationName: "test", ...options }),
      [Symbol.asyncDispose]: dispose,
    };
  });
}

/** A client that sends what it wants. */
class RawClient {
  readonly #connection: Deno.Conn;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  static async connect(server: PGliteServer): Promise<RawClient> {
    const [hostname, port] = server.address.split(":") as [string, string];
    return new RawClient(await Deno.connect({ hostname, port: Number(port) }));
  }

  static async ready(server: PGliteServer): Promise<RawClient> {
    const client = await RawClient.connect(server);
    await client.send(startup(196_608));
    assert.match(await client.until("Z"), /^R.*KZ$/);
    return client;
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      offset += await this.#connection.write(bytes.subarray(offset));
    }
  }

  /** Types of the frames up to one of type `last`, or to the end of the connection (`.`). */
  async until(last: string): Promise<string> {
    let types = "";
    for (;;) {
      const head = await this.read(5);
      if (!head) return types + ".";
      const type = String.fromCharCode(head[0]!);
      if (type !== "S" && type !== "N") types += type; // parameters and notices come whenever they like
      await this.read(new DataView(head.buffer, head.byteOffset).getUint32(1) - 4);
      if (type === last) return types;
    }
  }

  async read(length: number): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(length);
    for (let offset = 0; offset < length;) {
      const read = await this.#connection.read(bytes.subarray(offset)).catch(() => null);
      if (read === null) return undefined;
      offset += read;
    }
    return bytes;
  }

  close(): void {
    this.#connection.close();
  }
}

const startup = (code: number) => {
  const body = concat(writeUint(code, 4), zeroEnded("user"), zeroEnded("postgres"), Uint8Array.of(0));
  return concat(writeUint(body.length + 4, 4), body);
};
const query = (text: string) => message("Q", zeroEnded(text));
const parse = (name: string, text: string) =>
  message("P", zeroEnded(name), zeroEnded(text), Uint8Array.of(0, 0));
const bind = (name: string) => message("B", zeroEnded(""), zeroEnded(name), new Uint8Array(6));
const execute = message("E", zeroEnded(""), new Uint8Array(4));
const sync = message("S");

Deno.test("PGlite: frames of two clients that alternate do not mix, nor do their prepared statements", async () => {
  await using under = await withServer();
  const [a, b] = [await RawClient.ready(under.server), await RawClient.ready(under.server)];
  // A parses and stops half-way; B sends a whole query in between. Frame by frame, A would execute B's statement.
  await a.send(concat(parse("", "select 'a'"), message("H")));
  assert.equal(await a.until("1"), "1");
  await b.send(concat(parse("", "select 'b', 'b'"), bind(""), execute, sync));
  await a.send(concat(bind(""), execute, sync));
  assert.equal(await a.until("D"), "2D");
  assert.equal(await a.until("Z"), "CZ");
  assert.equal(await b.until("Z"), "12DCZ");
  // The same name in both.
  for (const [client, text] of [[a, "select 1"], [b, "select 1 where false"]] as const) {
    await client.send(concat(parse("same", text), sync));
    assert.equal(await client.until("Z"), "1Z");
  }
  const run = concat(bind("same"), execute, sync);
  await a.send(run);
  await b.send(run);
  assert.equal(await a.until("Z"), "2DCZ");
  assert.equal(await b.until("Z"), "2CZ");
  await a.send(concat(message("C", zeroEnded("Ssame")), parse("same", "select 2"), sync));
  assert.equal(await a.until("Z"), "31Z");
  a.close();
  b.close();
});

Deno.test("PGlite: a transaction keeps others waiting, and is undone when its client leaves", async () => {
  await using under = await withServer();
  await using database = openForTest({ url: under.server.url, applicationName: "test", max: 2 });
  await database.sql`create table t (a int)`;
  const insert = concat(parse("", "insert into t values (1)"), bind(""), execute);
  for (
    const [index, leaving] of [
      query("begin; insert into t values (1)"),
      concat(query("begin"), query("insert into t values (1)"), query("select nonsense")),
      concat(query("begin"), insert),
      concat(insert, message("H")),
      concat(parse("", "select nonsense"), bind(""), message("H")),
    ].entries()
  ) {
    const client = await RawClient.ready(under.server);
    await client.send(leaving);
    await client.read(6);
    const waiting = database.sql`select count(*) as n from t`.then((rows) => rows[0]!.n as bigint);
    client.close();
    assert.equal(await waiting, 0n, `case ${index}`);
  }
});

Deno.test("PGlite: a client that keeps its transaction open and silent is put out", async () => {
  await using under = await withServer({ idleLimitMs: 50 });
  await using database = openForTest({ url: under.server.url, applicationName: "test", max: 1 });
  await database.sql`create table t (a int)`;
  const client = await RawClient.ready(under.server);
  await client.send(query("begin; insert into t values (1)"));
  await client.until("Z");
  assert.equal((await database.sql`select 1 from t`).length, 0);
  assert.equal(await client.until("never"), "E.");
  client.close();
});

Deno.test("PGlite: TLS and GSS are declined, other protocols and malformed frames are refused, and it lives on", async () => {
  await using under = await withServer();
  const polite = await RawClient.connect(under.server);
  for (const code of [80_877_103, 80_877_104]) {
    await polite.send(concat(writeUint(8, 4), writeUint(code, 4)));
    assert.deepEqual(await polite.read(1), toUtf8("N"));
  }
  await polite.send(startup(196_608));
  assert.match(await polite.until("Z"), /KZ$/);
  await polite.send(message("X"));
  assert.equal(await polite.until("never"), ".");
  polite.close();

  for (
    const first of [
      startup(131_072),
      startup(196_610),
      concat(writeUint(4, 4), writeUint(0, 4)),
      concat(writeUint(2 ** 31, 4), writeUint(0, 4)),
    ]
  ) {
    const client = await RawClient.connect(under.server);
    await client.send(first);
    assert.match(await client.until("never"), /^E?\.$/);
    client.close();
  }
  for (
    const frame of [
      Uint8Array.of(0x51, 0, 0, 0, 3), // shorter than its own length
      Uint8Array.of(0x51, 0x7f, 0xff, 0xff, 0xff),
      message("~", toUtf8("x")),
      message("F", new Uint8Array(8)),
      message("Q", toUtf8("select 1")), // without the zero
      message("B", toUtf8("x")),
      query("copy pg_class from stdin"),
    ]
  ) {
    const client = await RawClient.ready(under.server);
    await client.send(frame);
    assert.equal(await client.until("never"), "E.", String(frame));
    client.close();
  }
  const client = await RawClient.ready(under.server);
  for (
    const frame of [
      message("B", new Uint8Array(2), toUtf8("rest")),
      message("E"),
      message("P", new Uint8Array(2)),
    ]
  ) {
    await client.send(concat(frame, sync));
    assert.equal(await client.until("Z"), "EZ");
  }
  await client.send(query("select 1"));
  assert.equal(await client.until("Z"), "TDCZ");
  client.close();
});

Deno.test("PGlite: connections beyond the limit are refused, and there is room when others leave", async () => {
  await using under = await withServer({ maxConnections: 2 });
  const [a, b] = [await RawClient.ready(under.server), await RawClient.ready(under.server)];
  const c = await RawClient.connect(under.server);
  assert.equal(await c.until("never"), "E.");
  c.close();
  await a.send(message("X"));
  assert.equal(await a.until("never"), ".");
  a.close();
  const d = await RawClient.ready(under.server);
  d.close();
  b.close();
});

Deno.test("PGlite: locks of the session keep nobody out, locks of the transaction do", async () => {
  await using under = await withServer();
  await using one = openForTest({ url: under.server.url, applicationName: "one", max: 1 });
  await using two = openForTest({ url: under.server.url, applicationName: "two", max: 1 });
  await one.sql`select pg_advisory_lock(1)`;
  const [row] = await two.sql`select pg_try_advisory_lock(1) as mine`;
  assert.equal(row!.mine, true); // why migrate() does not use them
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = one.transaction(async (sql) => {
    await sql`select pg_advisory_xact_lock(2)`;
    order.push("first in");
    await gate.promise;
    order.push("first out");
  });
  while (order.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const second = two.transaction(async (sql) => {
    await sql`select pg_advisory_xact_lock(2)`;
    order.push("second");
  });
  gate.resolve();
  await Promise.all([first, second]);
  assert.deepEqual(order, ["first in", "first out", "second"]);
});

Deno.test("parseListen() takes loopback and sockets that clients can name, nothing else", () => {
  assert.deepEqual(parseListen("[::1]:0"), { kind: "tcp", hostname: "::1", port: 0 });
  assert.deepEqual(parseListen("/a/.s.PGSQL.5432"), { kind: "unix", path: "/a/.s.PGSQL.5432" });
  for (
    const bad of [
      "",
      "0.0.0.0:1",
      "10.0.0.1:1",
      "127.0.0.1",
      "127.0.0.1:65536",
      "unix:/a/socket",
      "example.org:1",
    ]
  ) {
    assert.throws(() => parseListen(bad), { code: "PGLITE_LISTEN" }, bad);
  }
});

/** Starts main.ts with the permissions that it documents. */
async function startProcess(directory: string, address: string) {
  const root = new URL("../../../", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      `--allow-read=${directory},${root}node_modules`,
      `--allow-write=${directory}`,
      `--allow-net=${address}`,
      `${root}shared/transport/pglite/main.ts`,
      "--directory",
      directory,
      "--listen",
      address,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let line = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    line += text;
    if (line.includes("\n")) break;
  }
  if (!line) {
    const { code } = await child.status;
    return { child, errors, code, url: "" };
  }
  const ready = JSON.parse(line);
  assert.equal(ready.ready, true);
  return { child, errors, code: undefined, url: ready.url as string };
}

Deno.test("PGlite process: one to a folder, says what it is not, survives kill -9, ends well on SIGTERM", async () => {
  const directory = await Deno.makeTempDir({ prefix: "rk-pglite-process-" });
  try {
    using probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const address = `127.0.0.1:${probe.addr.port}`;
    probe.close();
    const first = await startProcess(directory, address);
    {
      await using database = openForTest({ url: first.url, applicationName: "test" });
      await database.sql`create table t (a bigint)`;
      for (let i = 0; i < 20; i++) await database.sql`insert into t values (${BigInt(i)})`;
      await database.transaction((sql) => sql`insert into t values (20)`);
    }
    const second = await startProcess(directory, address);
    assert.equal(second.code, 2);
    const refusal = (await second.errors).trim().split("\n").map((line) => JSON.parse(line)).at(-1);
    assert.equal(refusal.code, "PGLITE_LOCKED");
    assert.ok(refusal.message.includes(String(first.child.pid)));

    first.child.kill("SIGKILL");
    await first.child.status;
    assert.match(await first.errors, /not for production/);
    const third = await startProcess(directory, address);
    {
      await using database = openForTest({ url: third.url, applicationName: "test" });
      assert.equal((await database.sql`select a from t`).length, 21);
      await refusesWith("DATABASE_QUERY", database.sql`select nonsense`);
    }
    third.child.kill("SIGTERM");
    assert.equal((await third.child.status).code, 0);
    assert.match(await third.errors, /pglite\.stopped/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
