import assert from "node:assert/strict";
import type { BatchFacts } from "../../transport/issuance_store/records.ts";
import { batchIsOpen, mayCreateBatch } from "./batch.ts";
import { BATCH, batchIn } from "./fixture.ts";

const RANGE = { first: 100, last: 199 };
const FACTS: BatchFacts = {
  name: BATCH.name,
  quantity: BATCH.quantity,
  profileName: BATCH.profileName,
  profileSha256: BATCH.profileSha256,
  targetId: BATCH.targetId,
  targetDevice: BATCH.targetDevice,
  anonymousChips: BATCH.anonymousChips,
  scrappedInRow: BATCH.scrappedInRow,
  yieldPercent: BATCH.yieldPercent,
  yieldAfterCards: BATCH.yieldAfterCards,
  yieldWindowCards: BATCH.yieldWindowCards,
};

Deno.test("mayCreateBatch() gives the next range, from the factory's first serial on, up to its last", () => {
  const decide = (nextSerial: number, quantity: number) =>
    mayCreateBatch(undefined, nextSerial, RANGE, { ...FACTS, quantity });
  assert.deepEqual(decide(0, 50), { kind: "accept", firstSerial: 100, lastSerial: 149 });
  assert.deepEqual(decide(150, 50), { kind: "accept", firstSerial: 150, lastSerial: 199 });
  assert.deepEqual(decide(150, 51), { kind: "refuse", reason: "ATTEST_SERIALS_EXHAUSTED" });
  assert.deepEqual(decide(200, 1), { kind: "refuse", reason: "ATTEST_SERIALS_EXHAUSTED" });
  assert.deepEqual(decide(0, 101), { kind: "refuse", reason: "ATTEST_SERIALS_EXHAUSTED" });
});

Deno.test("mayCreateBatch() answers the same batch to the same request, and refuses any other fact", () => {
  assert.deepEqual(mayCreateBatch(BATCH, 150, RANGE, FACTS), { kind: "repeat", batch: BATCH });
  const others: Partial<BatchFacts>[] = [
    { quantity: 49 },
    { profileName: "other" },
    { profileSha256: "BB".repeat(32) },
    { targetId: "33400005" },
    { targetDevice: "06" },
    { anonymousChips: true },
    { scrappedInRow: null },
    { yieldPercent: 91 },
  ];
  for (const other of others) {
    assert.deepEqual(mayCreateBatch(BATCH, 150, RANGE, { ...FACTS, ...other }), {
      kind: "refuse",
      reason: "ATTEST_BATCH_EXISTS",
    }, JSON.stringify(other));
  }
});

Deno.test("batchIsOpen() wants a batch that is known, not held and not closed", () => {
  assert.deepEqual(batchIsOpen(undefined), { kind: "refuse", reason: "ATTEST_BATCH_UNKNOWN" });
  assert.deepEqual(batchIsOpen({ ...BATCH, closed: true }), {
    kind: "refuse",
    reason: "ATTEST_BATCH_CLOSED",
  });
  assert.deepEqual(batchIsOpen(batchIn("held")), { kind: "refuse", reason: "ATTEST_BATCH_HELD" });
  assert.deepEqual(batchIsOpen(BATCH), { kind: "accept", batch: BATCH });
});
