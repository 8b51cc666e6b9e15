/** kill -9 at every write of a log's process: no acknowledged entry is lost, no published checkpoint is taken back. */

import assert from "node:assert/strict";
import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { openFileTileStore } from "shared/log/store/file_tile_store.ts";
import { logMigrations } from "shared/log/store/migrations.ts";
import { PostgresSequence } from "shared/log/store/postgres_sequence.ts";
import type { Database } from "shared/transport/postgres/database.ts";
import {
  assertContinues,
  type LogFixture,
  openLogFixture,
  openTestLog,
  readLog,
  TEST_ORIGIN,
} from "tests/environment/log/fixture.ts";

const PROGRAM = new URL("killed_program.ts", import.meta.url).pathname;
/** Processes at once. */
const AT_ONCE = 3;

interface Run {
  readonly signal: string | null;
  readonly points: readonly string[];
  readonly acknowledged: readonly string[];
  readonly included: readonly (readonly [number, string])[];
}

async function run(fixture: LogFixture, prefix: string, killAt: number): Promise<Run> {
  await fixture.database.sql.unsafe(logMigrations(1, prefix)[0]!.sql);
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-check",
      "--allow-all",
      PROGRAM,
      fixture.url,
      prefix,
      folderOf(fixture, prefix),
    ]
      .concat(String(killAt)),
    stdout: "piped",
    stderr: "piped",
  }).output();
  const lines = new TextDecoder().decode(output.stdout).split("\n");
  const of = (word: string) =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  assert.ok(output.success || output.signal === "SIGKILL", new TextDecoder().decode(output.stderr));
  return {
    signal: output.signal,
    points: of("point"),
    acknowledged: of("acknowledged").flatMap((text) => JSON.parse(text) as string[]),
    included: of("included").flatMap((text) => JSON.parse(text) as [number, string][]),
  };
}

const folderOf = (fixture: LogFixture, prefix: string) => `${fixture.directory}/${prefix}`;

/** What the next process finds, and whether it can go on. @returns the size of the log that goes on. */
async function check(fixture: LogFixture, database: Database, prefix: string, before: Run): Promise<number> {
  const directory = folderOf(fixture, prefix);
  const tiles = await openFileTileStore({ directory });
  // What readers could see at the moment of the kill, if there was anything: whole and true.
  const seen = await tiles.checkpoint() === undefined ? undefined : await readLog(tiles);
  const sequence = new PostgresSequence({ database, origin: TEST_ORIGIN, prefix });
  const log = await openTestLog(database, directory, { sequence, tiles });
  log.start();
  await log.included(await log.append(toUtf8("behind the kill")), 60_000);
  await log.stop();
  const after = await readLog(tiles);
  if (seen !== undefined) await assertContinues(seen, after);
  const entries = after.entries.map(fromUtf8);
  assert.equal(new Set(entries).size, entries.length, "an entry is there twice");
  const present = new Set(entries);
  for (const entry of before.acknowledged) assert.ok(present.has(entry), `${prefix}: ${entry} was lost`);
  for (const [index, entry] of before.included) assert.equal(entries[index], entry);
  return after.size;
}

Deno.test("kill -9 at every write of a log: nothing acknowledged is lost, nothing published is taken back", async (t) => {
  await using fixture = await openLogFixture("PostgreSQL");
  await Deno.mkdir(fixture.directory);
  const recorded = await run(fixture, "recorded", 0);
  assert.equal(recorded.signal, null);
  assert.equal(recorded.acknowledged.length, 300);
  const points = recorded.points.length;
  assert.ok(points > 50, `only ${points} points`);
  // The check itself: an entry that was promised and is not there, and one at another index, are found.
  const lost = { ...recorded, acknowledged: [...recorded.acknowledged, "never written"] };
  await assert.rejects(check(fixture, fixture.database, "recorded", lost), /never written was lost/);
  await run(fixture, "moved", 0);
  const moved = { ...recorded, included: [[0, recorded.included[1]![1]]] as const };
  await assert.rejects(check(fixture, fixture.database, "moved", moved), assert.AssertionError);
  let killed = 0;
  let next = 1;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next <= points) {
      const at = next++;
      const before = await run(fixture, `k${at}`, at);
      // A run may group its writes in another way than the recorded one, and end before the last point.
      if (before.signal === "SIGKILL") killed++;
      await check(fixture, fixture.database, `k${at}`, before);
    }
  }));
  assert.ok(killed >= points - 3, `${killed} of ${points} points were reached`);
  console.log(`log: killed at ${killed} of ${points} writes, 0 acknowledged entries lost, 0 forks`);
  await t.step(`${killed} of ${points} writes`, () => {});
});
