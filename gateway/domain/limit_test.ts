import assert from "node:assert/strict";
import fc from "fast-check";
import { parseList } from "structured-headers";
import { type ArrivalTime, decideLimit, isRested, limitHeaders, type LimitRule } from "./limit.ts";

const rule: LimitRule = { name: "stations", quota: 3, windowSeconds: 10, burst: 5 };

/** Number of requests admitted when one is tried at each of these times. */
function admitted(of: LimitRule, times: readonly number[]): number {
  let arrival: ArrivalTime | undefined;
  let count = 0;
  for (const time of times) {
    const decision = decideLimit(of, arrival, time);
    arrival = decision.arrival;
    if (decision.allowed) count++;
  }
  return count;
}

Deno.test("decideLimit() admits the burst at once, then one for each interval", () => {
  assert.equal(admitted(rule, Array(50).fill(1_000)), 5);
  let arrival: ArrivalTime | undefined;
  for (let i = 0; i < 5; i++) arrival = decideLimit(rule, arrival, 0).arrival;
  // 3 in 10 s: one each 3,333.3 ms, and the third exactly at 10 s.
  for (
    const [ms, allowed] of [[3_333, false], [3_334, true], [6_666, false], [6_667, true], [9_999, false], [
      10_000,
      true,
    ]] as const
  ) {
    const decision = decideLimit(rule, arrival, ms);
    assert.equal(decision.allowed, allowed, `at ${ms} ms`);
    arrival = decision.arrival;
  }
});

Deno.test("decideLimit() admits exactly floor(rate x time) + burst under constant pressure", () => {
  fc.assert(
    fc.property(
      fc.record({
        quota: fc.integer({ min: 1, max: 1_000 }),
        windowSeconds: fc.integer({ min: 1, max: 60 }),
        burst: fc.integer({ min: 1, max: 50 }),
      }),
      fc.integer({ min: 0, max: 1_000_000 }),
      fc.integer({ min: 1, max: 3_000 }),
      (shape, start, duration) => {
        fc.pre((shape.burst - 1) * shape.windowSeconds * 1000 >= shape.quota);
        const times = Array.from({ length: duration + 1 }, (_, ms) => start + ms).flatMap((ms) =>
          Array(60).fill(ms)
        );
        const expected = Math.floor((shape.quota * duration) / (shape.windowSeconds * 1000)) + shape.burst;
        // Never more than the 60 that are tried each millisecond, nor the burst at the first.
        assert.equal(admitted({ name: "x", ...shape }, times), Math.min(expected, 60 * (duration + 1)));
      },
    ),
    { numRuns: 40 },
  );
});

Deno.test("decideLimit() never admits more in any window, whatever the times", () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 200 }), (gaps) => {
    let at = 0;
    let arrival: ArrivalTime | undefined;
    const taken: number[] = [];
    for (const gap of gaps) {
      at += gap;
      const before = arrival;
      const decision = decideLimit(rule, arrival, at);
      arrival = decision.arrival;
      if (decision.allowed) taken.push(at);
      else assert.equal(arrival, before, "a refusal costs nothing");
      const wait = decision.retryAfterMs;
      assert.equal(decision.remaining > 0, wait === 0);
      if (wait > 0) {
        assert.ok(decideLimit(rule, arrival, at + wait).allowed, "after the wait it is allowed");
        assert.ok(!decideLimit(rule, arrival, at + wait - 1).allowed, "and not before");
      }
      for (let i = 0; i < decision.remaining; i++) assert.ok(decideLimit(rule, arrival, at).allowed);
      if (arrival !== undefined) assert.ok(isRested(rule, arrival, at + decision.resetMs));
    }
    for (const [i, from] of taken.entries()) {
      const until = from + rule.windowSeconds * 1000;
      assert.ok(taken.slice(i).filter((t) => t < until).length <= rule.burst + rule.quota);
    }
  }));
});

Deno.test("limitHeaders() speak the syntax of draft 11", () => {
  const allowed = decideLimit(rule, undefined, 0);
  assert.deepEqual(limitHeaders([{ rule, decision: allowed }]), {
    "ratelimit-policy": '"stations";q=3;w=10',
    "ratelimit": '"stations";r=4;t=4',
  });
  let arrival: ArrivalTime | undefined;
  for (let i = 0; i < 5; i++) arrival = decideLimit(rule, arrival, 0).arrival;
  const refused = limitHeaders([{ rule, decision: decideLimit(rule, arrival, 0) }]);
  assert.deepEqual(refused, {
    "ratelimit-policy": '"stations";q=3;w=10',
    "ratelimit": '"stations";r=0;t=4',
    "retry-after": "4",
  });
  const [item] = parseList(refused["ratelimit"]!);
  assert.equal(item?.[0], "stations");
});

Deno.test("limitHeaders() name every rule that the request met, and the longest wait", () => {
  const other: LimitRule = { name: "addresses", quota: 1, windowSeconds: 60, burst: 1 };
  const spent = decideLimit(other, undefined, 0);
  const headers = limitHeaders([
    { rule, decision: decideLimit(rule, undefined, 0) },
    { rule: other, decision: decideLimit(other, spent.arrival, 0) },
  ]);
  assert.deepEqual(headers, {
    "ratelimit-policy": '"stations";q=3;w=10, "addresses";q=1;w=60',
    "ratelimit": '"stations";r=4;t=4, "addresses";r=0;t=60',
    "retry-after": "60",
  });
  assert.deepEqual(limitHeaders([]), {});
});
