import assert from "node:assert/strict";
import { Activity, MAX_TALKERS } from "./activity.ts";

function clockAt(state: { ms: number }) {
  return { now: () => state.ms, monotonic: () => state.ms };
}

Deno.test("Activity.view() gives rates of the last minute, not of the second that goes on", () => {
  const state = { ms: 0 };
  const activity = new Activity(clockAt(state));
  for (let second = 0; second < 100; second++) {
    state.ms = second * 1000;
    for (let i = 0; i < 10; i++) activity.request({ identity: "a", status: 200, ms: i });
    if (second % 2 === 0) activity.request({ identity: "b", status: 429, ms: 1, reason: "rate-limited" });
  }
  const view = activity.view();
  assert.equal(view.requestsPerSecond, 10.5);
  assert.equal(view.refusedPerSecond, 0.5);
  assert.equal(view.totalRequests, 1_050);
  assert.deepEqual(view.refusals, [{ reason: "rate-limited", lastMinute: 30, total: 50 }]);
  assert.deepEqual(view.talkers.map(({ identity, requests, refused }) => [identity, requests, refused]), [
    ["a", 1_000, 0],
    ["b", 50, 50],
  ]);
});

Deno.test("Activity forgets nobody who talks much, however many talk little", () => {
  const activity = new Activity(clockAt({ ms: 0 }));
  for (let i = 0; i < 20_000; i++) {
    activity.request({ identity: `small ${i}`, status: 200, ms: 1 });
    if (i % 50 === 0) activity.request({ identity: "large", status: 200, ms: 1, bytes: 10 });
  }
  const view = activity.view(MAX_TALKERS + 1);
  assert.ok(view.talkers.length <= MAX_TALKERS);
  const large = view.talkers.find(({ identity }) => identity === "large");
  assert.ok(large !== undefined && large.requests >= 400 && large.requests - large.above <= 400);
});
