import assert from "node:assert/strict";
import { Problem } from "shared/protocol/wire/problem.ts";
import { GATEWAY_PROBLEMS, problemOf, type RefusalReason, REFUSALS } from "./refusals.ts";

Deno.test("REFUSALS every reason has a problem that does not tell it", () => {
  for (const reason of Object.keys(REFUSALS) as RefusalReason[]) {
    const problem = problemOf(reason, "00000000-0000-4000-8000-000000000000");
    assert.ok(Problem.safeParse(problem).success);
    const row = GATEWAY_PROBLEMS[problem.code as keyof typeof GATEWAY_PROBLEMS];
    assert.equal(problem.status, row.http);
    assert.ok(!JSON.stringify(problem).includes(reason) || reason === "internal", reason);
  }
  const used = new Set(Object.values(REFUSALS).map(({ problem }) => problem));
  assert.equal(used.size, Object.keys(GATEWAY_PROBLEMS).length, "no problem without a reason");
});
