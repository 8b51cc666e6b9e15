/** Sessions in a real PostgreSQL: whole flows, and a search of rows and logs for what the orchestrator must never hold. */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { createLogger } from "shared/base/log.ts";
import { openDatabaseEventLog } from "shared/log/writer/service_event_log.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { recoverLog } from "orchestrator/service/recover_log.ts";
import { entered } from "tests/recover/entries.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { SESSION_MIGRATIONS } from "orchestrator/transport/session_store/migrations.ts";
import { PostgresSessionStore } from "orchestrator/transport/session_store/postgres_store.ts";
import { stateSeal } from "orchestrator/transport/session_store/state_seal.ts";
import type { SessionRow } from "orchestrator/transport/session_store/port.ts";
import { startPostgres } from "tests/environment/postgres.ts";
import { BACKUP, CLIENT, IDENTITY, RecoverScene } from "./scene.ts";

Deno.test("whole sessions over PostgreSQL; no share and no provider's channel key is in rows, opened states or logs", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-" });
  try {
    await using server = await startPostgres({ directory: folder });
    const database = openDatabase({ url: server.url, applicationName: "test" });
    const logDatabase = openDatabase({ url: server.url, applicationName: "log", max: 2 });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => logDatabase.close());
    try {
      await migrate(database, SESSION_MIGRATIONS);
      const key = SYSTEM_RANDOM(32);
      const seal = stateSeal(new Secret(key), SYSTEM_RANDOM);
      // Everything that is ever written, opened: what a thief of the database and of the state key would have.
      const contents: string[] = [];
      await Deno.writeTextFile(`${folder}/log.key`, SYSTEM_RANDOM(32).toBase64(), { mode: 0o600 });
      ensureSecretFile(`${folder}/pseudonym.key`);
      const events = await openDatabaseEventLog(
        {
          origin: "orchestrator.example/log",
          folder: `${folder}/log`,
          keyFile: `${folder}/log.key`,
          pseudonymKeyFile: `${folder}/pseudonym.key`,
        },
        logDatabase,
        { process: "orchestrator", clock: SYSTEM_CLOCK, logger: createLogger("test", { write: () => {} }) },
      );
      stack.defer(() => events.stop());
      const store = new PostgresSessionStore(
        database,
        {
          ...seal,
          seal: (content, about) => {
            contents.push(content);
            return seal.seal(content, about);
          },
        },
        recoverLog(events),
      );
      const scene = new RecoverScene(store);
      const owner = scene.device(32);
      const { backupId, session } = await scene.run(owner, BACKUP);
      const secrets = scene.providers.flatMap((provider) => provider.secrets());
      const restored = scene.device();
      await scene.run(restored, { flow: "restore", backupId });
      assert.equal(toHex(restored.entropy!), toHex(owner.entropy!));
      assert.equal((await store.backup(backupId))?.state, "stored");
      await scene.run(owner, { flow: "delete", backupId });
      assert.equal((await store.backup(backupId))?.state, "deleted");

      secrets.push(...scene.providers.flatMap((provider) => provider.secrets()), owner.entropy!);
      const rows = await database.sql`
        SELECT recover_sessions::text AS text FROM recover_sessions
        UNION ALL SELECT recover_backups::text FROM recover_backups UNION ALL SELECT convert_from(entry, 'UTF8') FROM log_pending
        UNION ALL SELECT convert_from(entry, 'UTF8') FROM log_entries`;
      const stored = rows.map(({ text }) => String(text)).join("\n").toUpperCase();
      const held = contents.join("\n").toUpperCase();
      const logged = scene.logged.join("\n").toUpperCase();
      // The search finds what is there: the last state's backup identifier, and the identifier in the row.
      assert.ok(held.includes(backupId) && stored.includes(session.toUpperCase()));
      for (const secret of secrets) {
        const hex = toHex(secret);
        for (const place of [stored, held, logged]) assert.ok(!place.includes(hex));
      }
      // A short name would be found in random hex now and then.
      const texts = Object.values(IDENTITY).filter(({ length }) => length > 5);
      assert.equal(texts.length, 4);
      for (const text of [...texts, toHex(key)]) {
        assert.ok(!stored.includes(text.toUpperCase()) && !logged.includes(text.toUpperCase()));
        const bytes = toHex(new TextEncoder().encode(text));
        assert.ok(!stored.includes(bytes) && !logged.includes(bytes));
      }
      const entries = await entered({ database });
      const told = (event: string) =>
        entries.filter((entry) => entry.event === event).map(({ outcome }) => outcome).join(" ");
      // One before each time that providers are asked, and one at the end: three shares are deposited, two released.
      assert.match(told("orchestrator.backup"), /^(intended ){6}done$/);
      assert.match(told("orchestrator.restore"), /^(intended ){9}done$/);
      assert.match(told("orchestrator.deletion"), /^(intended ){6}done$/);
      assert.equal(new Set(entries.map(({ subject }) => subject)).size, 3, "one pseudonym for each session");
      assert.ok(!JSON.stringify(entries).includes(session) && !JSON.stringify(entries).includes(backupId));

      // An ended session keeps no key and nothing that was relayed.
      const ended = JSON.parse((await store.load(session))!.content);
      assert.equal(ended.rounds[0].ephemeralKey, "00".repeat(32));
      assert.equal(ended.parts[0].sealedShare, null);
      await assert.rejects(scene.orchestrator.show("urn:other", session), {
        code: "ORCHESTRATOR_SESSION_UNKNOWN",
      });
      assert.equal((await scene.orchestrator.show(CLIENT, session)).step.kind, "done");

      // Of two writers one is first; a row that was changed, or is another's, does not open.
      const row: SessionRow = {
        session: crypto.randomUUID(),
        phase: "greeting",
        ended: false,
        entry: null,
        content: "{}",
        backup: null,
      };
      assert.ok(await store.insert(row));
      assert.ok(!await store.insert(row));
      assert.deepEqual(
        (await Promise.all([store.save(row, 1), store.save(row, 1)])).toSorted(),
        [false, true],
      );
      assert.deepEqual(await store.unfinished(Date.now() + 60_000), [row.session]);
      assert.deepEqual(await store.unfinished(0), []);
      await database
        .sql`UPDATE recover_sessions SET sealed = (SELECT sealed FROM recover_sessions WHERE session = ${session})
        WHERE session = ${row.session}`;
      await assert.rejects(store.load(row.session), { code: "SESSION_SEALED" });
      assert.equal(await store.backup(toHex(fromHex("00".repeat(16)))), undefined);
    } finally {
      await database.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
