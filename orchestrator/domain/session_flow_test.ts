import assert from "node:assert/strict";
import { CARRIED_THROUGH, ENDED, type Phase, PHASE_FACTS, PHASES, SESSION_FLOWS } from "./session_flow.ts";

const EVENTS = ["ready", "verify", "next", "last", "fail"] as const;

for (const [name, flow] of Object.entries(SESSION_FLOWS)) {
  Deno.test(`${name}: every phase x event leads to a phase that is reached and left, or is refused`, () => {
    const reached = new Set<Phase>(["greeting"]);
    for (const phase of reached) {
      for (const event of EVENTS) {
        const next = flow.next(phase, event);
        if (next !== undefined) reached.add(next);
      }
    }
    assert.ok(reached.has("done") && reached.has("failed"));
    for (const phase of PHASES) {
      const row = flow.table[phase];
      if (!reached.has(phase) || ENDED.includes(phase)) {
        assert.deepEqual(row, phase === "abandoning" ? { ready: "failed" } : {}, phase);
        continue;
      }
      // Either one way on, or one for "another provider follows" and one for "none does".
      const ways = ["ready", "next", "last"].filter((event) => event in row).join();
      assert.ok(ways === "ready" || ways === "next,last", `${phase}: ${ways}`);
      if (ways === "next,last") assert.ok(PHASE_FACTS[phase].each, phase);
      // From where it is carried through there is no way back; from anywhere else there is.
      assert.equal("fail" in row, !CARRIED_THROUGH.includes(phase), phase);
      if (row.verify !== undefined) assert.equal(PHASE_FACTS[row.verify].actor, "person");
    }
  });

  Deno.test(`${name}: whatever has been deposited or signed leads to an end for all providers`, () => {
    const rows = flow.table;
    const before = PHASES.filter((phase) => Object.values(rows[phase]).includes("done"));
    const expected: Record<string, Phase[]> = {
      backup: ["committing"],
      restore: ["restoring"],
      delete: ["deleting"],
    };
    assert.deepEqual(before, expected[name]);
    for (const phase of PHASES) {
      const { fail } = rows[phase];
      if (fail !== undefined) {
        assert.ok(fail === "abandoning" || PHASES.indexOf(phase) < PHASES.indexOf("opening"));
      }
    }
  });
}
