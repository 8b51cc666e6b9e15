import assert from "node:assert/strict";
import { type Generation, History, KEPT_GENERATIONS, previousOf } from "cli/gateway/history.ts";
import { readHanded } from "gateway/app/handed_sockets.ts";

const made = (generation: number, sha256: string, restores?: number): Generation => ({
  generation,
  sha256,
  at: "2026-01-01T00:00:00.000Z",
  by: "a",
  how: restores === undefined ? "reload" : "rollback",
  ...(restores === undefined ? {} : { restores }),
});

Deno.test("previousOf() goes to the last other text, and further after a rollback", () => {
  assert.equal(previousOf([]), undefined);
  assert.equal(previousOf([made(1, "a")]), undefined);
  assert.equal(previousOf([made(1, "a"), made(2, "b"), made(3, "b")]), 1);
  const before = [made(1, "a"), made(2, "b"), made(3, "c")];
  assert.equal(previousOf([...before, made(4, "b", 2)]), 1);
  assert.equal(previousOf([...before, made(4, "b", 2), made(5, "d")]), 4);
});

Deno.test("History keeps a bounded number, refuses what was changed behind its back, and does not count restarts", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const history = new History(folder);
    assert.deepEqual(await history.list(), []);
    for (let i = 1; i <= KEPT_GENERATIONS + 3; i++) {
      await history.record(`text ${i}`, { by: "somebody", how: "reload" });
    }
    const kept = await history.list();
    assert.deepEqual([kept.length, kept[0]?.generation], [KEPT_GENERATIONS, 4]);
    const count = KEPT_GENERATIONS + 3;
    assert.equal((await history.record(`text ${count}`, { by: "x", how: "start" })).generation, count);
    assert.equal(await history.text(5), "text 5");
    await assert.rejects(history.text(1), { code: "GATEWAY_GENERATION" });
    await Deno.writeTextFile(`${folder}/generations/000005.yaml`, "forged");
    await assert.rejects(history.text(5), { code: "GATEWAY_GENERATION" });
    assert.equal((await Deno.stat(`${folder}/generations/000006.yaml`)).mode! & 0o777, 0o600);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("readHanded() takes two descriptors and two ports only", () => {
  assert.deepEqual(readHanded("0,3,1000,2000"), {
    listenFd: 0,
    adminFd: 3,
    proofPort: 1000,
    foreignPort: 2000,
  });
  for (const text of ["", "0,3", "0,3,1,2,3", "a,b,c,d", "-1,3,1,2"]) {
    assert.throws(() => readHanded(text), { code: "GATEWAY_USAGE" }, text);
  }
});
