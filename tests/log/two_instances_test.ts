/** Two instances of one log: the one that leads is stopped at a write, the other takes over, the first one goes on. No fork. */

import assert from "node:assert/strict";
import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { openFileTileStore } from "shared/log/store/file_tile_store.ts";
import { logMigrations } from "shared/log/store/migrations.ts";
import { PostgresSequence } from "shared/log/store/postgres_sequence.ts";
import {
  assertContinues,
  type LogFixture,
  openLogFixture,
  openTestLog,
  readLog,
  TEST_ORIGIN,
} from "tests/environment/log/fixture.ts";

const PROGRAM = new URL("killed_program.ts", import.meta.url).pathname;
const LEASE_MS = 250;

/** Where the leader stops: between any two of its effects. `published`: with everything done. */
const STOPS = [
  "leading",
  "before append",
  "integrated",
  "tile-written",
  "tiles-durable",
  "signed",
  "kept",
  "checkpoint-written",
  "published",
] as const;

async function stopAndGoOn(fixture: LogFixture, stop: string, number: number): Promise<boolean> {
  const prefix = `s${number}`;
  const directory = `${fixture.directory}/${prefix}`;
  await fixture.database.sql.unsafe(logMigrations(1, prefix)[0]!.sql);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", PROGRAM, fixture.url, prefix, directory, stop],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const isStopped = Promise.withResolvers<void>();
  let output = "";
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      output += text;
      if (output.includes(`stopped ${stop}\n`)) isStopped.resolve();
    }
    isStopped.reject(new Error(`it ended before ${stop}`));
  })();
  try {
    await isStopped.promise;
    const tiles = await openFileTileStore({ directory });
    const sequence = new PostgresSequence({ database: fixture.database, origin: TEST_ORIGIN, prefix });
    const other = await openTestLog(fixture.database, directory, { sequence, tiles, leaseMs: LEASE_MS });
    other.start();
    const own = await other.append(toUtf8("from the other"));
    // Who is stopped with the folder's lock keeps the other from publishing until it goes on; nothing else does.
    const inside = stop.startsWith("checkpoint-");
    const seen = inside ? undefined : await other.included(own, 60_000).then(() => readLog(tiles));
    if (inside) await untilLed(fixture, prefix);
    Deno.kill(child.pid, "SIGCONT");
    await other.included(own, 60_000);
    const status = await child.status;
    await reading;
    assert.ok(status.success, output);
    const after = await readLog(tiles);
    if (seen !== undefined) await assertContinues(seen, after);
    await other.stop();
    const last = await readLog(tiles);
    await assertContinues(after, last);
    const entries = last.entries.map(fromUtf8);
    assert.equal(entries.length, 301);
    assert.equal(new Set(entries).size, 301);
    return output.includes("event log.fenced");
  } catch (error) {
    await using _ = { [Symbol.asyncDispose]: async () => void await child.status };
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    throw error;
  }
}

/** Waits until another instance leads in the database. */
async function untilLed(fixture: LogFixture, prefix: string): Promise<void> {
  const { sql } = fixture.database;
  for (;;) {
    const [row] = await sql<{ epoch: bigint }[]>`select epoch from ${sql(`${prefix}_head`)}`;
    if (row!.epoch > 1n) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

Deno.test("two instances: a leader stopped at any effect is fenced when it goes on, and the log never forks", async (t) => {
  await using fixture = await openLogFixture("PostgreSQL");
  await Deno.mkdir(fixture.directory);
  for (const [number, stop] of STOPS.entries()) {
    await t.step(stop, async () => {
      const fenced = await stopAndGoOn(fixture, stop, number);
      // It had something to write under its old fence, and was refused.
      if (stop !== "before append") assert.ok(fenced, "the old leader was not refused");
    });
  }
});
