import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type AdaptiveRule,
  type AdaptiveState,
  initialAdaptive,
  learn,
  mayEnter,
  PRIORITY_SHARES,
} from "./adaptive.ts";

const rule: AdaptiveRule = { initial: 100, min: 10, max: 400, tolerance: 2 };

function after(
  state: AdaptiveState,
  count: number,
  ms: number,
  share = 1,
  overloaded = false,
): AdaptiveState {
  for (let n = 0; n < count; n++) {
    state = learn(rule, state, { ms, inFlight: Math.floor(state.limit * share), overloaded });
  }
  return state;
}

Deno.test("learn() lets more in while all is well and the room is used, and not for nothing", () => {
  const calm = after(initialAdaptive(rule), 500, 50);
  assert.equal(calm.limit, rule.max);
  assert.equal(
    after(initialAdaptive(rule), 500, 50, 0.3).limit,
    rule.initial,
    "a room that is not used stays",
  );
});

Deno.test("learn() lets fewer in when answers take longer than usual, and recovers", () => {
  const usual = after(initialAdaptive(rule), 600, 50);
  const slow = after(usual, 100, 500);
  assert.ok(slow.limit < usual.limit / 2, String(slow.limit));
  const well = after(slow, 600, 50);
  assert.equal(well.limit, rule.max);
  assert.ok(after(usual, 20, 50, 1, true).limit < usual.limit / 2, "a pool that says so itself");
  assert.equal(
    after(after(initialAdaptive(rule), 600, 1), 200, 15).limit,
    rule.max,
    "milliseconds are noise",
  );
});

Deno.test("learn() stays within its bounds, and always lets somebody in, whatever happens", () => {
  const answer = fc.record({
    ms: fc.double({ min: 0, max: 1e6, noNaN: true }),
    inFlight: fc.integer({ min: 1, max: 1_000 }),
    overloaded: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(answer, { maxLength: 300 }), (answers) => {
    let state = initialAdaptive(rule);
    for (const each of answers) {
      state = learn(rule, state, each);
      assert.ok(state.limit >= rule.min && state.limit <= rule.max);
      assert.ok(mayEnter(state, "factory", 0));
    }
  }));
});

Deno.test("mayEnter() sheds the factory first, then backups, restores last", () => {
  const state = initialAdaptive(rule);
  const most = (priority: keyof typeof PRIORITY_SHARES) =>
    Array.from({ length: 200 }, (_, n) => n).filter((n) => mayEnter(state, priority, n)).length;
  assert.deepEqual([most("factory"), most("backup"), most("restore")], [75, 90, 100]);
});
