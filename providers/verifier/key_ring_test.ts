/** A year of rotations: whoever fetched the set within the time of announcement finds the key of every result. */

import assert from "node:assert/strict";
import { nextTurn, publishedKeys, type RingKey, signingKey } from "./key_ring.ts";

const POLICY = { rotateSeconds: 86_400, announceSeconds: 3600, overlapSeconds: 1800 };

function run(steps: readonly number[]): void {
  let keys: RingKey[] = [];
  let now = 1_000_000;
  const history: { at: number; kids: string[]; signer: string }[] = [];
  for (const step of steps) {
    now += step;
    const turn = nextTurn(keys, POLICY, now);
    if (turn !== undefined) {
      keys = [...publishedKeys(keys, POLICY, now), { kid: `key-${history.length}`, key: {}, startsAt: turn }];
    }
    const signer = signingKey(keys, now);
    assert.ok(signer, "somebody signs");
    const kids = publishedKeys(keys, POLICY, now).map(({ kid }) => kid);
    assert.ok(kids.includes(signer.kid), "what signs is published");
    assert.ok(kids.length <= 3);
    history.push({ at: now, kids, signer: signer.kid });
    for (const { at, kids: known } of history.slice(-200)) {
      if (now - at < POLICY.announceSeconds && at !== history[0]!.at) {
        assert.ok(known.includes(signer.kid), "a set of the last hour has the key that signs");
      }
    }
    for (const earlier of history.slice(-200)) {
      if (now - earlier.at < POLICY.overlapSeconds) {
        assert.ok(kids.includes(earlier.signer), "the set has the key of every result that still holds");
      }
    }
  }
}

Deno.test("a ring that is looked at each ten minutes", () => run(Array.from({ length: 3000 }, () => 600)));

Deno.test("a ring that stood still for days announces its next key all the same", () => {
  run([0, ...Array.from({ length: 20 }, () => [400_000, ...Array.from({ length: 20 }, () => 600)]).flat()]);
});
