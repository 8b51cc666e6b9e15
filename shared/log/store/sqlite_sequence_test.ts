import assert from "node:assert/strict";
import { createLogger } from "shared/base/log.ts";
import { toUtf8 } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import {
  assertContinues,
  readLog,
  TEST_ORIGIN,
  testSigner,
  testVerifiers,
} from "tests/environment/log/fixture.ts";
import { openFileTileStore } from "./file_tile_store.ts";
import { ProcessLog } from "./process_log.ts";
import { openSqliteSequence } from "./sqlite_sequence.ts";

async function open(folder: string): Promise<ProcessLog> {
  return new ProcessLog({
    origin: TEST_ORIGIN,
    sequence: openSqliteSequence(`${folder}/log.sqlite`, TEST_ORIGIN),
    tiles: await openFileTileStore({ directory: `${folder}/log` }),
    signers: [testSigner()],
    verifiers: testVerifiers(),
    logger: createLogger("test", { write: () => {} }),
    idleMs: 5,
  });
}

async function grow(log: ProcessLog, count: number, name: string): Promise<void> {
  const receipts = await Promise.all(
    Array.from({ length: count }, (_, i) => log.append(toUtf8(`${name} ${i}`))),
  );
  const found = await Promise.all(receipts.map((receipt) => log.included(receipt, 60_000)));
  assert.equal(new Set(found.map(({ index }) => index)).size, count);
}

Deno.test("ProcessLog over a file: entries are durable, published, and continued by the next process", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-log-" });
  try {
    const log = await open(folder);
    log.start();
    await grow(log, 700, "first");
    assert.throws(() => openSqliteSequence(`${folder}/log.sqlite`, TEST_ORIGIN), { code: "LOG_FILE_LOCKED" });
    await log.stop();
    const tiles = await openFileTileStore({ directory: `${folder}/log` });
    const before = await readLog(tiles);
    assert.equal(before.size, 700);
    const next = await open(folder);
    const waiting = await next.append(toUtf8("taken before the writer began"));
    next.start();
    assert.equal((await next.included(waiting, 60_000)).index, 700);
    await next.stop();
    await assertContinues(before, await readLog(tiles));
    assert.throws(() => openSqliteSequence(`${folder}/log.sqlite`, "example.com/other"), {
      code: "LOG_ORIGIN",
    });
    assert.equal((await Deno.stat(`${folder}/log.sqlite`)).mode! & 0o777, 0o600);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("ProcessLog over a file: an older copy of the file is refused, and an effect without its entry too", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-log-" });
  try {
    const first = await open(folder);
    first.start();
    await grow(first, 10, "first");
    await first.stop();
    await Deno.copyFile(`${folder}/log.sqlite`, `${folder}/older`);
    const second = await open(folder);
    second.start();
    await grow(second, 10, "second");
    await second.stop();
    await Deno.rename(`${folder}/older`, `${folder}/log.sqlite`);
    const third = await open(folder);
    third.start();
    while (third.sequencer.failure === undefined) await third.sequencer.nextChange(20);
    assert.equal(codeOf(third.sequencer.failure), "LOG_ROLLED_BACK");
    let effect = false;
    await assert.rejects(
      (async () => {
        await third.append(toUtf8("intent"));
        effect = true;
      })(),
      { code: "LOG_STOPPED" },
    );
    assert.equal(effect, false);
    await third.stop();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
