import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { codeOf } from "../../base/errors.ts";
import { openWitnessState } from "./sqlite_store.ts";
import type { CosignedCheckpoint } from "./state_store.ts";

const ORIGIN = "log.example/a";
const checkpoint = (size: number, root = size, timestamp = 1000 + size): CosignedCheckpoint => ({
  size,
  root: new Uint8Array(32).fill(root),
  note: new Uint8Array([size % 256]),
  timestamp,
});

async function inFolder(run: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const optionsOf = (folder: string) => ({
  file: `${folder}/witness.sqlite`,
  highWaterFile: `${folder}/high-water`,
});
const coded = (code: string) => (error: unknown) => codeOf(error) === code;

Deno.test("the state keeps what was cosigned over a restart, and is closed to others", () =>
  inFolder((folder) => {
    const store = openWitnessState(optionsOf(folder));
    assert.equal(store.latest(ORIGIN), undefined);
    store.commit(ORIGIN, undefined, checkpoint(3));
    store.commit(ORIGIN, 3, checkpoint(5));
    store.commit("log.example/b", undefined, checkpoint(1, 1, 2000));
    assert.throws(() => openWitnessState(optionsOf(folder)), coded("WITNESS_STATE_LOCKED"));
    store.close();
    assert.equal(Deno.statSync(`${folder}/witness.sqlite`).mode! & 0o777, 0o600);
    const again = openWitnessState(optionsOf(folder));
    assert.equal(again.latest(ORIGIN)!.size, 5);
    assert.deepEqual(again.at(ORIGIN, 3)!.root, checkpoint(3).root);
    assert.equal(again.lastTimestamp(), 2000);
    again.close();
  }));

Deno.test("the tables themselves refuse another root, a step back of size or time, and a stale decision", () =>
  inFolder((folder) => {
    const store = openWitnessState(optionsOf(folder));
    store.commit(ORIGIN, undefined, checkpoint(5));
    assert.throws(() => store.commit(ORIGIN, undefined, checkpoint(7)), coded("WITNESS_STATE_MOVED"));
    assert.throws(() => store.commit(ORIGIN, 5, checkpoint(5, 9)), coded("WITNESS_STATE_UNUSABLE"));
    assert.throws(() => store.commit(ORIGIN, 5, checkpoint(4)), coded("WITNESS_STATE_UNUSABLE"));
    assert.throws(() => store.commit(ORIGIN, 5, checkpoint(6, 6, 1)), coded("WITNESS_STATE_UNUSABLE"));
    assert.equal(store.latest(ORIGIN)!.size, 5);
    store.commit(ORIGIN, 5, checkpoint(6));
    store.close();
  }));

Deno.test("a state that was put back is noticed: at start, and under a running witness", () =>
  inFolder((folder) => {
    const { file } = optionsOf(folder);
    let store = openWitnessState(optionsOf(folder));
    store.commit(ORIGIN, undefined, checkpoint(3));
    store.close();
    Deno.copyFileSync(file, `${folder}/old-copy`);
    store = openWitnessState(optionsOf(folder));
    store.commit(ORIGIN, 3, checkpoint(9));
    store.close();
    Deno.copyFileSync(`${folder}/old-copy`, file);
    assert.throws(() => openWitnessState(optionsOf(folder)), coded("WITNESS_ROLLED_BACK"));
    Deno.removeSync(file);
    assert.throws(() => openWitnessState(optionsOf(folder)), coded("WITNESS_ROLLED_BACK"));
    // With the right high-water file gone as well nothing here can tell: the logs have to.
    Deno.removeSync(file);
    Deno.removeSync(`${folder}/high-water`);
    store = openWitnessState(optionsOf(folder));
    store.commit(ORIGIN, undefined, checkpoint(3));
    Deno.copyFileSync(`${folder}/old-copy`, `${folder}/other`);
    Deno.renameSync(`${folder}/other`, file);
    assert.throws(() => store.commit(ORIGIN, 3, checkpoint(9)), coded("WITNESS_ROLLED_BACK"));
    store.close();
  }));

Deno.test("old checkpoints are forgotten, the latest never; a foreign file is not taken", () =>
  inFolder((folder) => {
    const store = openWitnessState({ ...optionsOf(folder), remembered: 5 });
    let previous: number | undefined;
    for (let size = 1; size <= 25; size++) {
      store.commit(ORIGIN, previous, checkpoint(size, 1));
      previous = size;
    }
    assert.equal(store.at(ORIGIN, 20), undefined);
    assert.equal(store.at(ORIGIN, 21)?.size, 21);
    assert.equal(store.latest(ORIGIN)?.size, 25);
    store.close();
    const foreign = new DatabaseSync(`${folder}/foreign`);
    foreign.exec("PRAGMA user_version = 7");
    foreign.close();
    assert.throws(
      () => openWitnessState({ ...optionsOf(folder), file: `${folder}/foreign` }),
      coded("WITNESS_STATE_UNUSABLE"),
    );
  }));
