import assert from "node:assert/strict";
import { changes, NOTHING, type ReaderState } from "./changes.ts";

const ATR = Uint8Array.of(0x3b, 0x00);
const EMPTY: ReaderState = { present: false, counter: 0, atr: new Uint8Array(0) };
const CARD: ReaderState = { present: true, counter: 1, atr: ATR };
const kinds = (before: [string, ReaderState][], now: [string, ReaderState][]) =>
  changes(new Map(before), new Map(now)).map((event) =>
    `${event.kind} ${"reader" in event ? event.reader : ""}`
  );

Deno.test("changes() walks every pair of states of one reader", () => {
  assert.deepEqual(kinds([], []), []);
  assert.deepEqual(kinds([], [["A", EMPTY]]), ["reader-added A"]);
  assert.deepEqual(kinds([], [["A", CARD]]), ["reader-added A", "card-inserted A"]);
  assert.deepEqual(kinds([["A", EMPTY]], []), ["reader-removed A"]);
  assert.deepEqual(kinds([["A", EMPTY]], [["A", EMPTY]]), []);
  assert.deepEqual(kinds([["A", EMPTY]], [["A", CARD]]), ["card-inserted A"]);
  assert.deepEqual(kinds([["A", CARD]], []), ["card-removed A", "reader-removed A"]);
  assert.deepEqual(kinds([["A", CARD]], [["A", EMPTY]]), ["card-removed A"]);
  assert.deepEqual(kinds([["A", CARD]], [["A", CARD]]), []);
});

Deno.test("changes() tells a swapped card from one that stayed", () => {
  assert.deepEqual(kinds([["A", CARD]], [["A", { ...CARD, counter: 3 }]]), [
    "card-removed A",
    "card-inserted A",
  ]);
  assert.deepEqual(kinds([["A", EMPTY]], [["A", { ...EMPTY, counter: 2 }]]), []);
});

Deno.test("changes() gives the answer to reset and names readers that left first", () => {
  const events = changes(new Map([["A", EMPTY]]), new Map([["B", CARD]]));
  assert.deepEqual(events.map((event) => event.kind), ["reader-removed", "reader-added", "card-inserted"]);
  assert.deepEqual(events[2], { kind: "card-inserted", reader: "B", atr: ATR });
  assert.deepEqual(changes(NOTHING, NOTHING), []);
});
