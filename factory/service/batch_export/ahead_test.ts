import assert from "node:assert/strict";
import { AHEAD, ahead } from "./ahead.ts";

async function* numbers(count: number): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) yield i;
}

Deno.test("ahead() keeps the order and its bound, at every length around it", async () => {
  for (const count of [0, 1, AHEAD - 1, AHEAD, AHEAD + 1, 3 * AHEAD]) {
    let underWay = 0;
    let most = 0;
    const seen: number[] = [];
    const work = async (item: number) => {
      most = Math.max(most, ++underWay);
      for (let turns = item % 5; turns > 0; turns--) await Promise.resolve();
      return 2 * item;
    };
    for await (const [item, result] of ahead(numbers(count), work)) {
      underWay--;
      assert.equal(result, 2 * item);
      seen.push(item);
    }
    assert.deepEqual(seen, Array.from({ length: count }, (_, i) => i));
    assert.equal(most, Math.min(count, AHEAD));
  }
});
