import assert from "node:assert/strict";
import { batchIn } from "./fixture.ts";
import { type ClosingRecord, type DeclaredMissing, mayCloseBatch, MISSING_MAX } from "./batch_closing.ts";

const outcome = (
  record: Partial<ClosingRecord>,
  missing: DeclaredMissing,
  reason: string | null = "counted",
) => {
  const known = { batch: batchIn("open"), inFlight: 0, namedInFlight: 0, ...record };
  const decision = mayCloseBatch(known, missing, reason);
  return decision.kind === "refuse" ? decision.reason : decision.kind;
};

Deno.test("mayCloseBatch() closes what balances, and nothing else", () => {
  assert.equal(outcome({}, "none", null), "accept");
  assert.equal(outcome({ batch: batchIn("held") }, "none"), "accept");
  assert.equal(outcome({ inFlight: 1 }, "none"), "wait");
  assert.equal(outcome({ inFlight: 2 }, "all"), "accept");
  assert.equal(outcome({ inFlight: 2 }, "all", null), "ATTEST_BATCH_REASON");
  assert.equal(outcome({ inFlight: 2, namedInFlight: 2 }, [1, 2]), "accept");
  assert.equal(outcome({ inFlight: 3, namedInFlight: 2 }, [1, 2]), "wait");
  assert.equal(outcome({ inFlight: 3, namedInFlight: 2 }, [1, 2, 9]), "ATTEST_BATCH_SERIALS");
  assert.equal(outcome({ inFlight: 2, namedInFlight: 2 }, [1, 2, 2]), "accept");
  assert.equal(outcome({ inFlight: MISSING_MAX }, "all"), "accept");
  assert.equal(outcome({ inFlight: MISSING_MAX + 1 }, "all"), "ATTEST_BATCH_MANY_MISSING");
});

Deno.test("mayCloseBatch() a closed batch is answered again, whatever is asked", () => {
  for (const missing of ["none", "all", [7]] as const) {
    assert.equal(outcome({ batch: batchIn("closed"), inFlight: 0 }, missing, null), "repeat");
  }
  assert.equal(outcome({ batch: undefined }, "none"), "ATTEST_BATCH_UNKNOWN");
});
