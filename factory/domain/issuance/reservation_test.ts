import assert from "node:assert/strict";
import type { BatchStationRecord, ReservationState } from "../../transport/issuance_store/records.ts";
import { RESERVATION_STATES } from "./card_flow.ts";
import { chipIdentity } from "./chip.ts";
import { BATCH, reservationIn, STATION } from "./fixture.ts";
import { mayReserve, type ReserveDecision, type ReserveRecord } from "./reservation.ts";

const PARTS = { diversification: null, cplcSerial: null };
const CHIP = { key: "chip", distinct: true, parts: PARTS };
const ANONYMOUS = { ...CHIP, distinct: false };
const RECORD: ReserveRecord = {
  batch: BATCH,
  mine: undefined,
  chip: { elsewhere: [], twin: false },
  stations: [],
};

function outcome(decision: ReserveDecision): string {
  if (decision.kind === "refuse") return decision.reason;
  return decision.kind === "again" ? `again ${decision.state}` : `serial ${decision.serial}`;
}

const decide = (record: ReserveRecord, chip = CHIP) => outcome(mayReserve(record, chip, STATION.name));

/** What a chip with a record in this batch, and none elsewhere, comes to. */
const HERE: Readonly<Record<ReservationState, string>> = {
  reserved: "again reserved",
  "key-seen": "again reserved",
  attested: "again attested",
  installed: "again installed",
  good: "ATTEST_CHIP_CLOSED",
  scrapped: "ATTEST_CHIP_CLOSED",
  missing: "ATTEST_CHIP_MISSING",
};
/** What a record in another batch forbids. */
const ELSEWHERE: Readonly<Partial<Record<ReservationState, string>>> = {
  attested: "ATTEST_CHIP_ELSEWHERE",
  installed: "ATTEST_CHIP_ELSEWHERE",
  good: "ATTEST_CHIP_ELSEWHERE",
  missing: "ATTEST_CHIP_MISSING",
};

Deno.test("mayReserve() every state here x every state elsewhere x a twin, for chips with and without identity", () => {
  for (const twin of [false, true]) {
    for (const mine of [undefined, ...RESERVATION_STATES]) {
      for (const elsewhere of [undefined, ...RESERVATION_STATES]) {
        const record = {
          ...RECORD,
          mine: mine && reservationIn(mine),
          chip: { elsewhere: elsewhere === undefined ? [] : [elsewhere], twin },
        };
        const here = mine === undefined ? "serial 110" : HERE[mine];
        const there = elsewhere && ELSEWHERE[elsewhere];
        const name = `${twin} ${mine} ${elsewhere}`;
        assert.equal(decide(record), twin ? "ATTEST_CHIP_TWIN" : there ?? here, name);
        const anonymous = here.startsWith("again") ? here : "serial 110";
        assert.equal(decide(record, ANONYMOUS), anonymous, `anonymous ${name}`);
      }
    }
  }
});

Deno.test("mayReserve() refuses unknown, closed and exhausted batches", () => {
  assert.equal(decide({ ...RECORD, batch: undefined }), "ATTEST_BATCH_UNKNOWN");
  const closed = { ...RECORD, batch: { ...BATCH, closed: true }, mine: reservationIn("reserved") };
  assert.equal(decide(closed), "ATTEST_BATCH_CLOSED");
  const last = { ...RECORD, batch: { ...BATCH, nextSerial: BATCH.lastSerial } };
  assert.equal(decide(last), "serial 149");
  const full = { ...RECORD, batch: { ...BATCH, nextSerial: BATCH.lastSerial + 1 } };
  assert.equal(decide(full), "ATTEST_QUOTA_EXHAUSTED");
  assert.equal(decide({ ...full, mine: reservationIn("reserved") }), "again reserved");
});

Deno.test("mayReserve() keeps to the batch's stations and their quotas; a card that comes again takes nothing", () => {
  const mine = reservationIn("reserved");
  const cases: [readonly BatchStationRecord[], fresh: string, again: string][] = [
    [[], "serial 110", "again reserved"],
    [[{ station: "line-1", quota: null, reserved: 40 }], "serial 110", "again reserved"],
    [[{ station: "line-1", quota: 5, reserved: 4 }], "serial 110", "again reserved"],
    [
      [{ station: "line-1", quota: 5, reserved: 5 }],
      "ATTEST_STATION_QUOTA_EXHAUSTED",
      "again reserved",
    ],
    [
      [{ station: "line-2", quota: 5, reserved: 0 }],
      "ATTEST_STATION_NOT_IN_BATCH",
      "ATTEST_STATION_NOT_IN_BATCH",
    ],
  ];
  for (const [stations, fresh, again] of cases) {
    assert.deepEqual([decide({ ...RECORD, stations }), decide({ ...RECORD, stations, mine })], [
      fresh,
      again,
    ]);
  }
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

Deno.test("chipIdentity() names what no other chip may have: diversification data, and the serial fields of the CPLC", () => {
  const cplc = Array.from({ length: 42 }, (_, i) => i.toString(16).toUpperCase().padStart(2, "0")).join("");
  const { parts } = chipIdentity({ cplc, keyDiversificationData: "0102030405060708090A" }, false);
  assert.deepEqual(parts, {
    diversification: "0102030405060708090A",
    cplcSerial: "00010203" + "0A0B0C0D0E0F1011",
  });
  const silent = chipIdentity({ cplc: null, keyDiversificationData: "00".repeat(10) }, false);
  assert.deepEqual(silent.parts, PARTS);
});
