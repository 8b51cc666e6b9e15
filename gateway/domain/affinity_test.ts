import assert from "node:assert/strict";
import { affinityKey, rendezvous } from "./affinity.ts";

const INSTANCES = ["10.0.0.1:8450", "10.0.0.2:8450", "10.0.0.3:8450"];
const KEYS = Array.from({ length: 3_000 }, (_, i) => `session-${i}`);

Deno.test("rendezvous() spreads sessions evenly, moves only those of an instance that left", () => {
  const first = KEYS.map((key) => rendezvous(key, INSTANCES)[0]!);
  for (const index of [0, 1, 2]) {
    const share = first.filter((each) => each === index).length;
    assert.ok(share > 900 && share < 1_100, `${share} of 3000`);
  }
  const left = INSTANCES.slice(0, 2);
  for (const [i, key] of KEYS.entries()) {
    const now = rendezvous(key, left)[0]!;
    if (first[i] !== 2) assert.equal(now, first[i], "its instance is still there");
  }
  const second = KEYS.filter((_, i) => first[i] === 2).map((key) => rendezvous(key, INSTANCES)[1]!);
  assert.ok(
    second.filter((each) => each === 0).length > second.length * 0.4,
    "those of one that left spread too",
  );
});

Deno.test("rendezvous() does not depend on the order in which instances are listed", () => {
  const turned = [...INSTANCES].reverse();
  for (const key of KEYS.slice(0, 100)) {
    assert.deepEqual(
      rendezvous(key, INSTANCES).map((i) => INSTANCES[i]),
      rendezvous(key, turned).map((i) => turned[i]),
    );
  }
});

Deno.test("affinityKey() takes a header or a segment", () => {
  const request = {
    path: "/v1/batches/77",
    headers: [["x-session", "s"], ["empty", ""]] as [string, string][],
  };
  assert.equal(affinityKey({ kind: "header", name: "x-session" }, request), "s");
  assert.equal(affinityKey({ kind: "header", name: "other" }, request), undefined);
  assert.equal(affinityKey({ kind: "header", name: "empty" }, request), undefined);
  assert.equal(affinityKey({ kind: "segment", position: 3 }, request), "77");
  assert.equal(affinityKey({ kind: "segment", position: 4 }, request), undefined);
  assert.equal(affinityKey(undefined, request), undefined);
});
