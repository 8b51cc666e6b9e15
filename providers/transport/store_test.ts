/** The schema over a real PostgreSQL: what the node's role can do, and what nobody can. */

import assert from "node:assert/strict";
import { codeOf } from "shared/base/errors.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { startPostgres } from "tests/environment/postgres.ts";
import type { StepAnswer, VaultEvent } from "../vault/protocol.ts";
import { BACKUP_BLOB_LENGTH, PROVIDER_MIGRATIONS, SESSION_BLOB_LENGTH } from "./migrations.ts";
import { ANCHORS_ONLY } from "./recover_log.ts";
import { ProviderStore } from "./store.ts";

const ROLE = "recover_provider";
const hex = (byte: string, length: number) => byte.repeat(length);
const event = (tag: string | null): VaultEvent => ({ event: "deposit", result: "done", reasons: [], tag });

function answer(change: Partial<StepAnswer>): StepAnswer {
  return {
    outcome: { kind: "answer", answer: null },
    session: null,
    deviceTag: null,
    backup: null,
    event: null,
    ...change,
  };
}
const session = (version: number, byte = "AB") => ({
  version,
  keyVersion: 1,
  blob: hex(byte, SESSION_BLOB_LENGTH),
});
const backup = (byte: string) => ({ keyVersion: 1, blob: hex(byte, BACKUP_BLOB_LENGTH) });

Deno.test("ProviderStore as the node's role: exactly its statements, each all or nothing", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "rk-provider-store-" });
  await using started = new AsyncDisposableStack();
  started.defer(() => Deno.remove(directory, { recursive: true }));
  const server = started.use(await startPostgres({ directory }));
  const made = await new Deno.Command("psql", {
    args: ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", `CREATE ROLE ${ROLE} LOGIN`],
    env: server.psqlEnv,
    stdin: "null",
  }).output();
  assert.ok(made.success);
  const owner = openDatabase({ url: server.socketUrl, applicationName: "owner", max: 2 });
  started.defer(() => owner.close());
  await migrate(owner, PROVIDER_MIGRATIONS);
  const url = server.socketUrl.replace(/^postgres:\/\/[^@]+@/, `postgres://${ROLE}@`);
  const database = openDatabase({ url, applicationName: "node", max: 2 });
  started.defer(() => database.close());
  const store = new ProviderStore(database, ANCHORS_ONLY);
  const id = crypto.randomUUID();
  const identifier = hex("11", 32);
  const count = async (table: "backups" | "sessions" | "changes") =>
    (await owner.sql.unsafe(`SELECT count(*)::int AS rows FROM ${table}`))[0]!.rows as number;

  await t.step("a session begins, goes on and is read back; another version is a conflict", async () => {
    const begun = answer({ session: session(1), deviceTag: hex("22", 32), event: event(null) });
    assert.equal(await store.store(id, begun, null, 1), "stored");
    assert.equal(await store.store(id, begun, null, 1), "conflict");
    const other = crypto.randomUUID();
    assert.equal(await store.store(other, begun, null, 1), "device-replayed");
    assert.equal(await store.store(id, answer({ session: session(2, "CD") }), null, 1), "stored");
    assert.equal(await store.store(id, answer({ session: session(2) }), null, 1), "conflict");
    assert.deepEqual(await store.session(id), session(2, "CD"));
    assert.equal(await store.session(other), null);
  });

  await t.step(
    "a row is put, changed from what was read, and removed; its entry is there or nothing is",
    async () => {
      const put = (byte: string, tag: string) =>
        answer({ backup: { put: backup(byte), identifier }, event: event(hex(tag, 32)) });
      assert.equal(await store.store(id, put("AA", "01"), null, 1), "stored");
      const entries = await count("changes");
      assert.equal(await store.store(id, put("BB", "01"), backup("AA"), 1), "set-back");
      assert.equal(await store.store(id, put("BB", "02"), backup("CC"), 1), "conflict");
      assert.equal(await count("changes"), entries, "a conflict leaves no entry");
      assert.equal(await store.store(id, put("BB", "02"), backup("AA"), 1), "stored");
      assert.deepEqual(await store.backup(identifier), backup("BB"));
      await store.rewrite();
      assert.deepEqual(await store.backup(identifier), backup("BB"));
      const remove = answer({ backup: { remove: true, identifier }, event: event(hex("03", 32)) });
      assert.equal(await store.store(id, remove, backup("BB"), 1), "stored");
      assert.equal(await store.backup(identifier), null);
      assert.equal(await store.forget(1), 0);
      assert.equal(await store.forget(2), 1);
    },
  );

  await t.step("the role can do nothing else", async () => {
    for (
      const statement of [
        "UPDATE changes SET receipt = 1",
        "DELETE FROM changes",
        "TRUNCATE backups",
        "UPDATE log_entries SET receipt = 0",
        "DELETE FROM log_entries",
        "DELETE FROM log_head",
        "TRUNCATE log_pending",
        "INSERT INTO log_head DEFAULT VALUES",
        "UPDATE backups SET identifier = identifier",
        "UPDATE sessions SET device_tag = device_tag",
        "UPDATE sessions SET forget_day = 0",
        "ALTER TABLE backups ADD COLUMN made timestamptz",
        "DROP TABLE sessions",
        "CREATE TABLE copies (x int)",
        "ALTER TABLE changes DISABLE TRIGGER never_changed",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      ]
    ) {
      const refused = await database.sql.unsafe(statement).then(() => "done", (error) => codeOf(error));
      assert.equal(refused, "DATABASE_ACCESS", statement);
    }
  });

  await t.step("nor by psql, whatever it asks", async () => {
    const psql = async (statement: string) => {
      const { success, stdout, stderr } = await new Deno.Command("psql", {
        args: ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement],
        env: { ...server.psqlEnv, PGUSER: ROLE },
        stdin: "null",
      }).output();
      const text = new TextDecoder();
      return { success, output: text.decode(stdout).trim(), fault: text.decode(stderr) };
    };
    // The administrator looks: an identifier, a version and one blob of fixed size is all that a row has.
    await store.store(id, answer({ backup: { put: backup("EE"), identifier } }), null, 1);
    const { output } = await psql("SELECT length(identifier), key_version, length(blob) FROM backups");
    assert.equal(output, `32|1|${BACKUP_BLOB_LENGTH}`);
    for (
      const statement of [
        "UPDATE backups SET identifier = identifier",
        "UPDATE changes SET receipt = NULL",
        "DELETE FROM changes",
        "UPDATE log_entries SET entry = entry",
        "TRUNCATE sessions",
        "COPY backups TO PROGRAM 'cat'",
        "SET session_replication_role = replica",
        "CREATE TRIGGER t BEFORE INSERT ON backups FOR EACH ROW EXECUTE FUNCTION session_goes_on()",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
        "SET ROLE pg_read_all_data",
      ]
    ) {
      const refused = await psql(statement);
      assert.ok(!refused.success, statement);
      assert.match(refused.fault, /permission denied|must be (owner|superuser)/, statement);
    }
  });

  await t.step("what must hold, the database holds, for its owner too", async () => {
    for (
      const statement of [
        "DELETE FROM changes",
        "UPDATE changes SET receipt = 1",
        "DELETE FROM log_head",
        "UPDATE log_head SET epoch = epoch - 1",
        `INSERT INTO backups VALUES (decode('${hex("11", 31)}', 'hex'), 1, decode('${
          hex("AA", BACKUP_BLOB_LENGTH)
        }', 'hex'))`,
        `INSERT INTO backups VALUES (decode('${identifier}', 'hex'), 1, decode('AA', 'hex'))`,
        `INSERT INTO backups VALUES (decode('${identifier}', 'hex'), 0, decode('${
          hex("AA", BACKUP_BLOB_LENGTH)
        }', 'hex'))`,
      ]
    ) {
      const refused = await owner.sql.unsafe(statement).then(() => "done", (error) => codeOf(error));
      assert.equal(refused, "DATABASE_CONSTRAINT", statement.slice(0, 40));
    }
  });
});
