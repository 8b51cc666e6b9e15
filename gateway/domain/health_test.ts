import assert from "node:assert/strict";
import fc from "fast-check";
import {
  candidates,
  CIRCUIT_FLOW,
  type CircuitEvent,
  type CircuitState,
  cooled,
  initialHealth,
  type Observation,
  observe,
} from "./health.ts";

const rule = { unhealthyAfter: 3, coolDownMs: 1_000 };
const STATES: CircuitState[] = ["trial", "up", "down"];
const SEEN: Observation[] = ["probe-ok", "probe-refused", "probe-failed", "request-ok", "request-failed"];

Deno.test("CIRCUIT_FLOW every state and event has the answer of this table", () => {
  const answers: Record<CircuitState, Record<CircuitEvent, CircuitState | undefined>> = {
    trial: { trip: "down", cool: undefined, recover: "up" },
    up: { trip: "down", cool: undefined, recover: undefined },
    down: { trip: undefined, cool: "trial", recover: "up" },
  };
  for (const state of STATES) {
    for (const event of ["trip", "cool", "recover"] as const) {
      assert.equal(CIRCUIT_FLOW.next(state, event), answers[state][event], `${state} ${event}`);
    }
  }
});

Deno.test("observe() every state and observation", () => {
  const after: Record<CircuitState, Record<Observation, CircuitState>> = {
    trial: {
      "probe-ok": "up",
      "probe-refused": "down",
      "probe-failed": "down",
      "request-ok": "up",
      "request-failed": "down",
    },
    up: {
      "probe-ok": "up",
      "probe-refused": "down",
      "probe-failed": "up",
      "request-ok": "up",
      "request-failed": "up",
    },
    down: {
      "probe-ok": "up",
      "probe-refused": "down",
      "probe-failed": "down",
      "request-ok": "down",
      "request-failed": "down",
    },
  };
  for (const state of STATES) {
    for (const seen of SEEN) {
      assert.equal(
        observe({ state, failures: 0, since: 0 }, seen, 5, rule).state,
        after[state][seen],
        `${state} ${seen}`,
      );
    }
  }
});

Deno.test("observe() takes an instance down after failures in a row only", () => {
  let health = observe(initialHealth(0), "probe-ok", 0, rule);
  const see = (seen: Observation) => health = observe(health, seen, 10, rule);
  see("request-failed");
  see("probe-failed");
  see("request-ok");
  see("request-failed");
  see("request-failed");
  assert.equal(health.state, "up");
  see("request-failed");
  assert.deepEqual(health, { state: "down", failures: 0, since: 10 });
});

Deno.test("cooled() lets an instance be tried after its time, and no other", () => {
  const down = { state: "down", failures: 0, since: 100 } as const;
  assert.equal(cooled(down, 1_099, rule).state, "down");
  assert.equal(cooled(down, 1_100, rule).state, "trial");
  assert.equal(cooled({ ...down, state: "up" }, 9_999, rule).state, "up");
});

Deno.test("candidates() takes turns among those that are up, then those on trial, never those down", () => {
  const of = (...states: CircuitState[]) => states.map((state) => ({ state, failures: 0, since: 0 }));
  assert.deepEqual(candidates(of("up", "up", "trial", "down"), 1), [1, 0, 2]);
  assert.deepEqual(candidates(of("down", "down"), 0), []);
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...STATES), { minLength: 1, maxLength: 6 }),
      fc.nat(20),
      (states, turn) => {
        const order = candidates(of(...states), turn);
        assert.deepEqual([...order].sort(), states.flatMap((state, i) => state === "down" ? [] : [i]));
      },
    ),
  );
});
