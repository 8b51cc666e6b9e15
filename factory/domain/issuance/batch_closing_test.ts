import assert from "node:assert/strict";
import { batchIn } from "./fixture.ts";
import {
  type ClosingOrder,
  type ClosingRecord,
  type DeclaredMissing,
  mayCloseBatch,
  MISSING_WITH_CLOSING,
} from "./batch_closing.ts";

/** A batch whose serials are all given out. */
const used = (state: "open" | "held" | "closed") => ({
  ...batchIn(state),
  nextSerial: batchIn(state).lastSerial + 1,
});

const outcome = (
  record: Partial<ClosingRecord>,
  missing: DeclaredMissing,
  order: Partial<ClosingOrder> = {},
) => {
  const known = { batch: used("open"), inFlight: 0, namedInFlight: 0, namedMissing: 0, ...record };
  const decision = mayCloseBatch(known, { missing, giveUpUnused: false, reason: "counted", ...order });
  return decision.kind === "refuse" ? decision.reason : decision.kind;
};

Deno.test("mayCloseBatch() closes what balances, and nothing else", () => {
  assert.equal(outcome({}, "none", { reason: null }), "accept");
  assert.equal(outcome({ batch: used("held") }, "none"), "accept");
  assert.equal(outcome({ inFlight: 1 }, "none"), "wait");
  assert.equal(outcome({ inFlight: 2 }, "all"), "accept");
  assert.equal(outcome({ inFlight: 2 }, "all", { reason: null }), "ATTEST_BATCH_REASON");
  assert.equal(outcome({ inFlight: 2, namedInFlight: 2 }, [1, 2]), "accept");
  assert.equal(outcome({ inFlight: 3, namedInFlight: 2 }, [1, 2]), "wait");
  assert.equal(outcome({ inFlight: 3, namedInFlight: 2 }, [1, 2, 9]), "ATTEST_BATCH_SERIALS");
  assert.equal(outcome({ inFlight: 2, namedInFlight: 2 }, [1, 2, 2]), "accept");
});

Deno.test("mayCloseBatch() declares many cards missing before it closes, and goes on where it was interrupted", () => {
  const many = MISSING_WITH_CLOSING;
  assert.equal(outcome({ inFlight: many }, "all"), "accept");
  assert.equal(outcome({ inFlight: many + 1 }, "all"), "declare");
  const serials = Array.from({ length: many + 1 }, (_, i) => i);
  assert.equal(outcome({ inFlight: many + 1, namedInFlight: many + 1 }, serials), "declare");
  assert.equal(outcome({ inFlight: many, namedInFlight: many, namedMissing: 1 }, serials), "accept");
  assert.equal(
    outcome({ inFlight: 1, namedInFlight: 1, namedMissing: many - 1 }, serials),
    "ATTEST_BATCH_SERIALS",
  );
});

Deno.test("mayCloseBatch() gives up serials only when it is told to, with a reason, before anything is declared", () => {
  const batch = batchIn("open");
  assert.equal(outcome({ batch }, "none"), "ATTEST_BATCH_UNUSED");
  assert.equal(outcome({ batch, inFlight: 3 }, "all"), "ATTEST_BATCH_UNUSED");
  assert.equal(outcome({ batch, inFlight: 3 }, "none"), "wait", "cards in flight come first");
  assert.equal(outcome({ batch }, "none", { giveUpUnused: true }), "accept");
  assert.equal(outcome({ batch }, "none", { giveUpUnused: true, reason: null }), "ATTEST_BATCH_REASON");
  assert.equal(outcome({}, "none", { giveUpUnused: true }), "accept", "there may be none");
});

Deno.test("mayCloseBatch() a closed batch is answered again, whatever is asked", () => {
  for (const missing of ["none", "all", [7]] as const) {
    assert.equal(outcome({ batch: batchIn("closed"), inFlight: 0 }, missing, { reason: null }), "repeat");
  }
  assert.equal(outcome({ batch: undefined }, "none"), "ATTEST_BATCH_UNKNOWN");
});
