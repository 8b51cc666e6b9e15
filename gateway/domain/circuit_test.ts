import assert from "node:assert/strict";
import fc from "fast-check";
import {
  abandonRequest,
  admits,
  beginRequest,
  type Breaker,
  BREAKER_FLOW,
  type BreakerEvent,
  type BreakerRule,
  type BreakerState,
  cooledBreaker,
  endRequest,
  initialBreaker,
  mostOpen,
  openFor,
} from "./circuit.ts";

const rule: BreakerRule = {
  consecutiveFailures: 3,
  windowMs: 1_000,
  minimumRequests: 10,
  failureShare: 0.5,
  openMs: 100,
  maxOpenMs: 350,
  maxOpenShare: 0.5,
};
const STATES: BreakerState[] = ["closed", "open", "half-open"];
const EVENTS: BreakerEvent[] = ["trip", "cool", "succeed", "fail"];
const inState = (state: BreakerState): Breaker => ({
  ...initialBreaker(0),
  state,
  opened: state === "closed" ? 0 : 1,
});
const run = (breaker: Breaker, outcomes: string, now = 0, mayOpen = true) =>
  [...outcomes].reduce((each, outcome) => endRequest(each, outcome === "+", now, rule, mayOpen), breaker);

Deno.test("BREAKER_FLOW every state and event has the answer of this table", () => {
  const answers: Record<BreakerState, Record<BreakerEvent, BreakerState | undefined>> = {
    closed: { trip: "open", cool: undefined, succeed: undefined, fail: undefined },
    open: { trip: undefined, cool: "half-open", succeed: undefined, fail: undefined },
    "half-open": { trip: undefined, cool: undefined, succeed: "closed", fail: "open" },
  };
  for (const state of STATES) {
    for (const event of EVENTS) {
      assert.equal(BREAKER_FLOW.next(state, event), answers[state][event], `${state} ${event}`);
    }
  }
});

Deno.test("circuit every state against everything that can happen", () => {
  const after: Record<BreakerState, Record<string, BreakerState>> = {
    closed: {
      ok: "closed",
      failed: "closed",
      failedOften: "open",
      early: "closed",
      late: "closed",
      left: "closed",
    },
    open: { ok: "open", failed: "open", failedOften: "open", early: "open", late: "half-open", left: "open" },
    "half-open": {
      ok: "closed",
      failed: "open",
      failedOften: "open",
      early: "half-open",
      late: "half-open",
      left: "half-open",
    },
  };
  const happens: Record<string, (breaker: Breaker) => Breaker> = {
    ok: (breaker) => run(breaker, "+"),
    failed: (breaker) => run(breaker, "-"),
    failedOften: (breaker) => run(breaker, "---"),
    early: (breaker) => cooledBreaker(breaker, rule.openMs - 1, rule),
    late: (breaker) => cooledBreaker(breaker, rule.openMs, rule),
    left: (breaker) => abandonRequest(beginRequest(breaker)),
  };
  for (const state of STATES) {
    for (const [name, happen] of Object.entries(happens)) {
      assert.equal(happen(inState(state)).state, after[state][name], `${state} ${name}`);
    }
  }
});

Deno.test("endRequest() opens at failures in a row, or at a share of enough requests, and not beyond the cap", () => {
  assert.equal(run(initialBreaker(0), "--+--").state, "closed");
  assert.equal(run(initialBreaker(0), "---").state, "open");
  assert.equal(run(initialBreaker(0), "-+-+-+-+").state, "closed", "too few to speak of a share");
  assert.equal(run(initialBreaker(0), "-+-+-+-++-").state, "open");
  assert.equal(run(initialBreaker(0), "---------", 0, false).state, "closed", "as many are out as may be");
  const old = run(initialBreaker(0), "-+-+-+-+");
  assert.equal(run(old, "+-", 1_500).state, "open", "the window before counts");
  assert.equal(run(old, "+-", 2_000).state, "closed", "the one before that does not");
});

Deno.test("cooledBreaker() gives one trial, and waits twice as long after each that failed", () => {
  let breaker = run(initialBreaker(0), "---");
  const times = [];
  for (let now = 0; times.length < 4;) {
    times.push(openFor(breaker, rule));
    now += openFor(breaker, rule);
    breaker = cooledBreaker(breaker, now, rule);
    assert.ok(admits(breaker));
    breaker = beginRequest(breaker);
    assert.ok(!admits(breaker), "one at a time");
    breaker = run(breaker, "-", now);
  }
  assert.deepEqual(times, [100, 200, 350, 350]);
  const closed = run(cooledBreaker(breaker, 1e9, rule), "+", 1e9);
  assert.equal(openFor(run(closed, "---", 1e9), rule), 100, "begins again");
  assert.ok(admits(abandonRequest(beginRequest(inState("half-open")))), "a client that left says nothing");
});

Deno.test("mostOpen() never takes the last instance", () => {
  assert.deepEqual([1, 2, 3, 4, 10].map((count) => mostOpen(count, rule)), [0, 1, 1, 2, 5]);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (count, maxOpenShare) => {
        assert.ok(mostOpen(count, { maxOpenShare }) < count);
      },
    ),
  );
});
