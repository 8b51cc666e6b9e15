import assert from "node:assert/strict";
import type { BatchGroup } from "shared/protocol/wire/batch.ts";
import { figuresOf } from "./figures.ts";

const group = (
  station: string,
  state: BatchGroup["state"],
  cards: number,
  reason: string | null = null,
): BatchGroup => ({
  station,
  state,
  reason,
  cards,
  lastHour: state === "good" ? 1 : 0,
  firstReservedAt: "2030-01-01T08:00:00.000Z",
  lastClosedAt: state === "good" || state === "scrapped" ? "2030-01-01T10:00:00.000Z" : null,
});

Deno.test("figuresOf() adds up by station and by reason", () => {
  const { all, stations, reasons, unused, adds } = figuresOf({
    quantity: 60,
    lastSerial: "0000003B",
    nextSerial: "00000032",
    groups: [
      group("line-1", "good", 30),
      group("line-1", "scrapped", 3, "CARD_MUTE"),
      group("line-1", "scrapped", 1, "CARD_KEYS"),
      group("line-2", "good", 10),
      group("line-2", "scrapped", 2, "CARD_MUTE"),
      group("line-2", "attested", 1),
      group("line-2", "reserved", 1),
      group("line-2", "missing", 2, "lost"),
    ],
  });
  assert.deepEqual(all, {
    reserved: 50,
    good: 40,
    scrapped: 6,
    missing: 2,
    inFlight: 2,
    yieldPercent: 87,
    cardsPerHour: 23,
    lastHour: 2,
  });
  assert.deepEqual([unused, adds], [10, true]);
  assert.equal(stations["line-2"]?.yieldPercent, 83.3);
  assert.deepEqual(reasons.map(({ state, reason, cards }) => [state, reason, cards]), [
    ["scrapped", "CARD_MUTE", 5],
    ["missing", "lost", 2],
    ["scrapped", "CARD_KEYS", 1],
  ]);
  assert.deepEqual(reasons[0]?.stations, { "line-1": 3, "line-2": 2 });
});

Deno.test("figuresOf() says nothing where there is nothing", () => {
  const { all, adds } = figuresOf({
    quantity: 2,
    lastSerial: "00000002",
    nextSerial: "00000001",
    groups: [],
  });
  assert.deepEqual([all.reserved, all.yieldPercent, all.cardsPerHour, adds], [0, null, null, true]);
});
