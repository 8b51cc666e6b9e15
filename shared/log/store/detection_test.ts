/** What goes wrong under a log is told with evidence, and never repaired. */

import assert from "node:assert/strict";
import { toUtf8 } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { codeOf } from "shared/base/errors.ts";
import { formatCheckpoint } from "shared/log/checkpoint.ts";
import { signNote } from "shared/log/note.ts";
import {
  assertContinues,
  type LogFixture,
  openLogFixture,
  readLog,
  TEST_ORIGIN,
} from "tests/environment/log/fixture.ts";
import { openFileTileStore } from "./file_tile_store.ts";
import { seedLogSigner } from "./note_signers.ts";
import type { SequencerOptions } from "./sequencer.ts";
import type { ServiceLog } from "./service_log.ts";
import type { TileStore } from "./tile_store.ts";

/** Appends and waits until everything is published. */
async function grow(log: ServiceLog, count: number, name: string): Promise<void> {
  const receipts = await Promise.all(
    Array.from({ length: count }, (_, i) => log.append(toUtf8(`${name} ${i}`))),
  );
  await Promise.all(receipts.map((receipt) => log.included(receipt, 60_000)));
}

/** A log of 300 entries that has stopped in order. */
async function stoppedLog(fixture: LogFixture): Promise<void> {
  const log = await fixture.open();
  log.start();
  await grow(log, 300, "entry");
  await log.stop();
}

async function untilFailed(log: ServiceLog): Promise<string | undefined> {
  while (log.sequencer.failure === undefined) await log.sequencer.nextChange(20);
  return codeOf(log.sequencer.failure);
}

/** Starts a log that must refuse to go on. @returns its evidence. */
async function refuses(
  fixture: LogFixture,
  code: string,
  options: Partial<SequencerOptions> = {},
): Promise<Record<string, unknown>> {
  const log = await fixture.open(options);
  log.start();
  assert.equal(await untilFailed(log), code);
  // No entry, no action: neither by itself nor in a transaction.
  await assert.rejects(log.append(toUtf8("more")), { code: "LOG_STOPPED" });
  await assert.rejects(
    fixture.database.transaction((sql) => log.appendInTransaction(sql, toUtf8("more"))),
    { code: "LOG_STOPPED" },
  );
  await log.stop();
  return await evidence(fixture, code);
}

async function evidence(fixture: LogFixture, code: string): Promise<Record<string, unknown>> {
  for await (const { name } of Deno.readDir(`${fixture.directory}/evidence`)) {
    if (!name.startsWith(code)) continue;
    return JSON.parse(await Deno.readTextFile(`${fixture.directory}/evidence/${name}`));
  }
  throw new Error(`no evidence of ${code}`);
}

/** What a restored backup looks like: the tables as they were, with the guards of the schema out of the way. */
async function snapshot(fixture: LogFixture): Promise<() => Promise<void>> {
  const { database } = fixture;
  await database.sql.unsafe(
    "create table saved_head as table log_head; create table saved_entries as table log_entries; create table saved_pending as table log_pending",
  );
  const [row] = await database.sql<{ last: bigint }[]>`
    select coalesce(pg_sequence_last_value('log_pending_receipt_seq'), 1)::int8 as last`;
  return async () => {
    await database.transaction((sql) =>
      sql.unsafe(`
      alter table log_head disable trigger user; alter table log_entries disable trigger user;
      delete from log_head; insert into log_head select * from saved_head;
      delete from log_entries; insert into log_entries select * from saved_entries;
      delete from log_pending;
      select setval('log_pending_receipt_seq', ${row!.last});
      alter table log_head enable trigger user; alter table log_entries enable trigger user`)
    );
  };
}

Deno.test("a database that was rolled back while the log was down is refused, also one that a witness knows to be newer", async () => {
  await using fixture = await openLogFixture("PostgreSQL");
  await stoppedLog(fixture);
  const restore = await snapshot(fixture);
  const log = await fixture.open();
  log.start();
  await grow(log, 50, "later");
  await log.stop();
  const before = await readLog(await fixture.tiles());
  await restore();
  const found = await refuses(fixture, "LOG_ROLLED_BACK");
  assert.match(String(found.published), new RegExp(`^${TEST_ORIGIN}\n350\n`));
  assert.equal((found.database as { signedSize: number }).signedSize, 300);
  // The folder rolled back together with the database: only who stands outside can know.
  assert.deepEqual((await readLog(await fixture.tiles())).size, before.size);
  await Deno.remove(`${fixture.directory}/checkpoint`);
  await refuses(fixture, "LOG_ROLLED_BACK", { witnessedSize: () => Promise.resolve(350) });
});

Deno.test("a database that is rolled back under a running log stops it", async () => {
  await using fixture = await openLogFixture("PostgreSQL");
  const log = await fixture.open();
  log.start();
  await grow(log, 20, "first");
  const restore = await snapshot(fixture);
  await grow(log, 20, "second");
  await restore();
  // The next thing that is written, or the next renewal of the lease.
  await log.append(toUtf8("into the old database")).catch(() => {});
  assert.equal(await untilFailed(log), "LOG_ROLLED_BACK");
  await assert.rejects(log.append(toUtf8("more")), { code: "LOG_STOPPED" });
  await log.stop();
  assert.equal((await evidence(fixture, "LOG_ROLLED_BACK")).lastSizeSignedHere, 40);
  assert.equal((await readLog(await fixture.tiles())).size, 40);
});

Deno.test("the database lets nobody change an entry, remove one, or put the head back", async () => {
  await using fixture = await openLogFixture("PostgreSQL");
  await stoppedLog(fixture);
  const { sql } = fixture.database;
  for (
    const change of [
      "update log_entries set entry = 'x' where index = 3",
      "delete from log_entries where index = 299",
      "truncate log_entries",
      "update log_head set size = size - 1",
      "update log_head set signed_size = signed_size - 1",
      "update log_head set epoch = epoch - 1",
      "update log_head set origin = 'another'",
      "delete from log_head",
    ]
  ) {
    await assert.rejects(sql.unsafe(change), (error) => /^DATABASE_/.test(codeOf(error) ?? ""), change);
  }
});

Deno.test("changed tiles, entries and checkpoints are found before the log goes on", async (t) => {
  await using fixture = await openLogFixture("PostgreSQL");
  await stoppedLog(fixture);
  const good = await readLog(await fixture.tiles());
  const { sql } = fixture.database;

  /** Changes a file, expects the refusal, and puts it back. */
  const withFile = async (
    path: string,
    change: (bytes: Uint8Array) => Uint8Array | undefined,
    code: string,
  ) => {
    const file = `${fixture.directory}/${path}`;
    const bytes = await Deno.readFile(file);
    const changed = change(bytes.slice());
    if (changed === undefined) await Deno.remove(file);
    else await Deno.writeFile(file, changed);
    const found = await refuses(fixture, code);
    assert.equal(found.code, code);
    if (changed !== undefined) assert.deepEqual(await Deno.readFile(file), changed, "it was repaired");
    await Deno.writeFile(file, bytes);
    await Deno.remove(`${fixture.directory}/evidence`, { recursive: true });
  };
  const flip = (bytes: Uint8Array) => {
    bytes[5]! ^= 1;
    return bytes;
  };

  for (const path of ["tile/0/001.p/44", "tile/1/000.p/1"]) {
    await t.step(`${path}: changed, cut, gone`, async () => {
      await withFile(path, flip, "LOG_TILES_DAMAGED");
      await withFile(path, (bytes) => bytes.subarray(1), "LOG_TILES_DAMAGED");
      await withFile(path, () => undefined, "LOG_TILES_DAMAGED");
    });
  }
  await t.step("a bundle with another entry, and one that was cut", async () => {
    await withFile("tile/entries/001.p/44", flip, "LOG_DATABASE_DAMAGED");
    await withFile("tile/entries/001.p/44", (bytes) => bytes.subarray(1), "LOG_TILES_DAMAGED");
  });
  await t.step("checkpoints: cut, changed, of another key, of two roots", async () => {
    await withFile("checkpoint", (bytes) => bytes.subarray(0, 40), "LOG_CHECKPOINT_FOREIGN");
    await withFile("checkpoint", flip, "LOG_CHECKPOINT_FOREIGN");
    const text = formatCheckpoint({
      origin: TEST_ORIGIN,
      size: 300,
      root: new Uint8Array(32),
      extensions: [],
    });
    using stranger = new Secret(new Uint8Array(32).fill(1));
    const foreign = await signNote(text, [seedLogSigner(stranger, TEST_ORIGIN)]);
    await withFile("checkpoint", () => foreign, "LOG_CHECKPOINT_FOREIGN");
    using own = new Secret(new Uint8Array(32).fill(42));
    const other = await signNote(text, [seedLogSigner(own, TEST_ORIGIN)]);
    await withFile("checkpoint", () => other, "LOG_FORKED");
    const smaller = text.replace("\n300\n", "\n200\n");
    const second = await signNote(smaller, [seedLogSigner(own, TEST_ORIGIN)]);
    await withFile("checkpoint", () => second, "LOG_FORKED");
  });
  await t.step("a tile that the log would write is there with other bytes", async () => {
    const path = `${fixture.directory}/tile/0/001.p/45`;
    await Deno.writeFile(path, new Uint8Array(45 * 32));
    const log = await fixture.open();
    log.start();
    await log.append(toUtf8("one more"));
    assert.equal(await untilFailed(log), "LOG_TILE_CONFLICT");
    await log.stop();
    assert.deepEqual(await Deno.readFile(path), new Uint8Array(45 * 32));
    await Deno.remove(path);
  });
  await t.step("an entry that has an index and was changed before it was signed", async () => {
    const [kept] = await sql<
      { entry: Uint8Array<ArrayBuffer> }[]
    >`select entry from log_entries where index = 300`;
    const change = async (entry: Uint8Array<ArrayBuffer>) => {
      await sql.unsafe("alter table log_entries disable trigger user");
      await sql`update log_entries set entry = ${entry} where index = 300`;
      await sql.unsafe("alter table log_entries enable trigger user");
    };
    await change(new Uint8Array([1]));
    await refuses(fixture, "LOG_DATABASE_DAMAGED");
    await change(kept!.entry);
  });
  await t.step("put right by hand, the same log goes on", async () => {
    const log = await fixture.open();
    log.start();
    await grow(log, 1, "behind all that");
    await log.stop();
    await assertContinues(good, await readLog(await fixture.tiles()));
  });
  await t.step("tables of another log", async () => {
    const tiles = await openFileTileStore({ directory: `${fixture.directory}-other` });
    const { PostgresSequence } = await import("./postgres_sequence.ts");
    const sequence = new PostgresSequence({ database: fixture.database, origin: "example.com/other" });
    const log = await fixture.open({ tiles, sequence, origin: "example.com/other" });
    log.start();
    assert.equal(await untilFailed(log), "LOG_ORIGIN");
    await log.stop();
  });
});

/** A folder on a disk of 64 KiB for root, where mounting is allowed; else one whose writes fail as those of a full disk do. */
async function smallDisk(
  directory: string,
): Promise<{ tiles: TileStore; makeRoom(): Promise<void> } & AsyncDisposable> {
  await Deno.mkdir(directory, { recursive: true });
  const mount = async (...args: string[]) =>
    (await new Deno.Command("mount", { args, stdout: "null", stderr: "null" }).output()).success;
  if (Deno.uid() === 0 && await mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", directory)) {
    return {
      tiles: await openFileTileStore({ directory }),
      makeRoom: async () => assert.ok(await mount("-o", "remount,size=4m", directory)),
      [Symbol.asyncDispose]: async () => {
        await new Deno.Command("umount", { args: ["-l", directory] }).output();
      },
    };
  }
  let room = 16;
  const tiles = await openFileTileStore({
    directory,
    onWrite: (point) => {
      if (point !== "tile-written" || room-- > 0) return;
      throw Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
    },
  });
  return {
    tiles,
    makeRoom: () => Promise.resolve(void (room = Infinity)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

Deno.test("a disk that fills up in the middle of a tile: nothing half is shown, entries wait, and go on when there is room", async () => {
  await using fixture = await openLogFixture("PostgreSQL");
  await using disk = await smallDisk(fixture.directory);
  const warnings: unknown[] = [];
  const log = await fixture.open({
    tiles: disk.tiles,
    logger: {
      debug() {},
      info() {},
      error() {},
      warning: (_event, fields) => void warnings.push(fields?.error),
      with() {
        return this;
      },
    },
  });
  log.start();
  await grow(log, 20, "first");
  const before = await readLog(disk.tiles);
  const receipts = await Promise.all(
    Array.from({ length: 400 }, (_, i) => log.append(toUtf8(`large ${i} ${"x".repeat(200)}`))),
  );
  while (!warnings.some((error) => codeOf(error) === "LOG_TILE_STORAGE")) {
    assert.equal(log.sequencer.failure, undefined);
    await log.sequencer.nextChange(20);
  }
  const during = await readLog(disk.tiles);
  await assertContinues(before, during);
  assert.ok(during.size < 420);
  assert.equal(log.sequencer.failure, undefined);
  await disk.makeRoom();
  await Promise.all(receipts.map((receipt) => log.included(receipt, 60_000)));
  await log.stop();
  const after = await readLog(disk.tiles);
  assert.equal(after.size, 420);
  await assertContinues(during, after);
});
