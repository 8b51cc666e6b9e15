/**
 * Health of one upstream instance as a circuit: pure, a table of states and one function per observation.
 * Active checks (the readiness path) and passive ones (what became of requests) feed the same circuit.
 */

import { flow } from "shared/base/flow.ts";

/** `trial`: nothing is known, or it was down and may be tried; used when nobody is `up`. */
export type CircuitState = "trial" | "up" | "down";
/** `trip`: failed often enough; `cool`: has been down long enough to be tried; `recover`: answered well. */
export type CircuitEvent = "trip" | "cool" | "recover";

/** The circuit. */
export const CIRCUIT_FLOW = flow<CircuitState, CircuitEvent>({
  trial: { recover: "up", trip: "down" },
  up: { trip: "down" },
  down: { cool: "trial", recover: "up" },
});

/** What was seen of an instance. */
export type Observation = "probe-ok" | "probe-refused" | "probe-failed" | "request-ok" | "request-failed";

/** When to believe what was seen. */
export interface HealthRule {
  /** Failures in a row until an instance that is up is down. */
  readonly unhealthyAfter: number;
  /** Milliseconds after which an instance that is down may be tried by a request. */
  readonly coolDownMs: number;
}

/** State of one instance. */
export interface InstanceHealth {
  readonly state: CircuitState;
  /** Failures in a row. */
  readonly failures: number;
  /** When the state was entered, monotonic milliseconds. */
  readonly since: number;
}

/** An instance of which nothing is known yet. */
export function initialHealth(nowMs: number): InstanceHealth {
  return { state: "trial", failures: 0, since: nowMs };
}

function move(health: InstanceHealth, event: CircuitEvent, nowMs: number): InstanceHealth {
  const state = CIRCUIT_FLOW.next(health.state, event);
  return state === undefined ? health : { state, failures: 0, since: nowMs };
}

/** The health after an observation. */
export function observe(
  health: InstanceHealth,
  seen: Observation,
  nowMs: number,
  rule: HealthRule,
): InstanceHealth {
  switch (seen) {
    case "probe-ok":
      return health.state === "up" ? { ...health, failures: 0 } : move(health, "recover", nowMs);
    // It says itself that it is not ready, as a draining instance does: no second opinion is needed.
    case "probe-refused":
      return move(health, "trip", nowMs);
    // An answer to a request that began before it went down does not bring it back.
    case "request-ok":
      // As nearly always: nothing changes.
      if (health.state === "down" || health.state === "up" && health.failures === 0) return health;
      return move({ ...health, failures: 0 }, "recover", nowMs);
    case "probe-failed":
    case "request-failed": {
      const failures = health.failures + 1;
      const enough = health.state === "trial" || failures >= rule.unhealthyAfter;
      return enough ? move(health, "trip", nowMs) : { ...health, failures };
    }
  }
}

/** An instance that has been down long enough becomes one that may be tried. */
export function cooled(health: InstanceHealth, nowMs: number, rule: HealthRule): InstanceHealth {
  const due = health.state === "down" && nowMs - health.since >= rule.coolDownMs;
  return due ? move(health, "cool", nowMs) : health;
}

/**
 * The order in which to try instances: those that are up from `turn` on, round robin, then those on trial.
 * @returns Indexes; empty when every instance is down.
 */
export function candidates(healths: readonly InstanceHealth[], turn: number): number[] {
  const up: number[] = [];
  const trial: number[] = [];
  for (let i = 0; i < healths.length; i++) {
    const index = (turn + i) % healths.length;
    const { state } = healths[index]!;
    if (state === "up") up.push(index);
    else if (state === "trial") trial.push(index);
  }
  return trial.length === 0 ? up : [...up, ...trial];
}
