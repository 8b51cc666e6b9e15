/** A provider's steps and its log: both happen, or neither; and a database that forgot a change is noticed at the start. */

import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import { parseLeaf } from "shared/log/leaf.ts";
import { LogReader } from "shared/log/reader.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { requireAnchors } from "providers/transport/recover_log.ts";
import { makeDevice, makeMaker } from "./device.ts";
import { entered } from "./entries.ts";
import { backup, confirm, openRequest, release, remove } from "./flows.ts";
import { HostSession } from "./host.ts";
import { startProviders, testClock, type TestProvider } from "./provider.ts";

Deno.test("a provider's log: no entry, no step; every change of a backup is anchored in it", async (t) => {
  const maker = makeMaker();
  const clock = testClock();
  await using running = await startProviders(maker, clock, "PGlite and software HSM", {}, [1]);
  const [provider] = running.providers as [TestProvider];
  const { sql } = provider.database;
  const owner = makeDevice(maker, SYSTEM_RANDOM(32));
  const backupId = toHex(SYSTEM_RANDOM(16));

  await t.step("each step is entered once, whatever is repeated; an attempt before its release", async () => {
    await backup(maker, owner, [provider], backupId);
    const device = makeDevice(maker);
    await confirm(maker, device, [provider], backupId);
    await release(maker, device, [provider], backupId, clock);
    await remove(maker, owner, [provider], backupId);
    const names = (await entered(provider)).map(({ event, outcome }) => `${event.split(".")[1]} ${outcome}`);
    assert.deepEqual(names, [
      "session-opened done",
      "share-deposited done",
      "backup-committed done",
      "session-opened done",
      "restore-confirmed done",
      "session-opened done",
      "attempt-counted done",
      "share-released done",
      "session-opened done",
      "deletion-asked done",
      "share-deleted done",
    ]);
  });

  await t.step("entries name no session, and each change once", async () => {
    const text = JSON.stringify(await entered(provider)).toLowerCase();
    for (const { session } of await sql<{ session: string }[]>`SELECT session::text FROM sessions`) {
      assert.ok(!text.includes(session) && !text.includes(session.replaceAll("-", "")));
    }
    const subjects = (await entered(provider)).flatMap(({ subject }) => subject ?? []);
    assert.equal(subjects.length, 6);
    assert.equal(new Set(subjects).size, subjects.length);
    await requireAnchors(provider.database);
  });

  await t.step(
    "an entry that cannot be written: a fault that may be tried again, and nothing is stored",
    async () => {
      const host = await HostSession.open(maker, makeDevice(maker, SYSTEM_RANDOM(16)));
      const request = openRequest(host, "backup", toHex(SYSTEM_RANDOM(16)), true);
      await sql`ALTER TABLE log_pending RENAME TO log_pending_away`;
      const fault = await provider.service.step("open", request.session, request).then(() => "done", codeOf);
      await sql`ALTER TABLE log_pending_away RENAME TO log_pending`;
      assert.equal(fault, "EVENT_LOG_UNWRITABLE");
      assert.equal((await sql`SELECT FROM sessions WHERE session = ${request.session}`).count, 0);
      assert.equal((await provider.service.step("open", request.session, request)).kind, "answer");
    },
  );

  await t.step("an anchor that is gone while the log knows its change: a node does not start", async () => {
    await sql.unsafe("ALTER TABLE changes DISABLE TRIGGER never_changed");
    const [gone] = await sql<{ tag: Uint8Array<ArrayBuffer>; receipt: bigint }[]>`
      DELETE FROM changes WHERE receipt = (SELECT max(receipt) FROM changes) RETURNING tag, receipt`;
    await assert.rejects(requireAnchors(provider.database), { code: "PROVIDER_ANCHOR" });
    await sql`INSERT INTO changes (tag, receipt) VALUES (${gone!.tag}, ${gone!.receipt})`;
    await sql.unsafe("ALTER TABLE changes ENABLE TRIGGER never_changed");
    await requireAnchors(provider.database);
  });

  await t.step("all of it is in a signed tree that a stranger verifies", async () => {
    const { source, policy } = provider.events.page!;
    const wanted = (await entered(provider)).length;
    let reader: LogReader | undefined;
    // The writer publishes behind the commit: it takes a moment.
    while ((reader?.checkpoint.size ?? 0) < wanted) {
      reader = await LogReader.open(source, policy).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const leaves = [];
    for await (const { bytes } of reader!.entries(0, reader!.checkpoint.size)) leaves.push(parseLeaf(bytes));
    assert.equal(leaves.length, wanted);
    assert.ok(leaves.every(({ time }) => time.endsWith(":00:00.000Z")));
  });
});
