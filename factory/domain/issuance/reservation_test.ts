import assert from "node:assert/strict";
import { RESERVATION_STATES } from "./card_flow.ts";
import { chipIdentity } from "./chip.ts";
import { BATCH, reservationIn } from "./fixture.ts";
import { mayReserve, type ReserveDecision, type ReserveRecord } from "./reservation.ts";

const CHIP = { key: "chip", distinct: true };
const ANONYMOUS = { key: "chip", distinct: false };
const RECORD: ReserveRecord = { batch: BATCH, mine: undefined, elsewhere: [] };

function outcome(decision: ReserveDecision): string {
  if (decision.kind === "refuse") return decision.reason;
  return decision.kind === "again" ? `again ${decision.state}` : `serial ${decision.serial}`;
}

Deno.test("mayReserve() every state here x every state elsewhere, for chips with and without identity", () => {
  for (const distinct of [true, false]) {
    const chip = distinct ? CHIP : ANONYMOUS;
    for (const mine of [undefined, ...RESERVATION_STATES]) {
      for (const elsewhere of [undefined, ...RESERVATION_STATES]) {
        const decision = mayReserve({
          batch: BATCH,
          mine: mine && reservationIn(mine),
          elsewhere: elsewhere === undefined ? [] : [elsewhere],
        }, chip);
        const expected = distinct && (elsewhere === "good" || elsewhere === "attested")
          ? "ATTEST_CHIP_ELSEWHERE"
          : mine === "reserved" || mine === "attested"
          ? `again ${mine}`
          : mine === undefined || !distinct
          ? "serial 110"
          : "ATTEST_CHIP_CLOSED";
        assert.equal(outcome(decision), expected, `${distinct} ${mine} ${elsewhere}`);
      }
    }
  }
});

Deno.test("mayReserve() refuses unknown, closed and exhausted batches", () => {
  assert.equal(outcome(mayReserve({ ...RECORD, batch: undefined }, CHIP)), "ATTEST_BATCH_UNKNOWN");
  const closed = { ...RECORD, batch: { ...BATCH, closed: true }, mine: reservationIn("reserved") };
  assert.equal(outcome(mayReserve(closed, CHIP)), "ATTEST_BATCH_CLOSED");
  const last = { ...RECORD, batch: { ...BATCH, nextSerial: BATCH.lastSerial } };
  assert.equal(outcome(mayReserve(last, CHIP)), "serial 149");
  const full = { ...RECORD, batch: { ...BATCH, nextSerial: BATCH.lastSerial + 1 } };
  assert.equal(outcome(mayReserve(full, CHIP)), "ATTEST_QUOTA_EXHAUSTED");
  assert.equal(outcome(mayReserve({ ...full, mine: reservationIn("reserved") }, CHIP)), "again reserved");
});

Deno.test("chipIdentity() tells chips apart by CPLC and diversification data, and knows who cannot be told apart", () => {
  const chip = { cplc: "AB".repeat(42), keyDiversificationData: "00".repeat(10) };
  const other = { ...chip, cplc: "AC".repeat(42) };
  const third = { ...chip, keyDiversificationData: "01".repeat(10) };
  const keys = [chip, other, third].map((c) => chipIdentity(c, false).key);
  assert.equal(new Set(keys).size, 3);
  assert.equal(chipIdentity(chip, false).distinct, true);
  assert.equal(chipIdentity(chip, true).distinct, false);
  assert.equal(chipIdentity({ ...chip, cplc: null }, false).distinct, false);
  assert.equal(chipIdentity({ ...third, cplc: null }, false).distinct, true);
});
