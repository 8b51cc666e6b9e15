import assert from "node:assert/strict";
import { CARD_FLOW, RESERVATION_EVENTS, RESERVATION_STATES } from "./card_flow.ts";

Deno.test("CARD_FLOW every state x event", () => {
  const walked = Object.fromEntries(
    RESERVATION_STATES.map((
      state,
    ) => [state, RESERVATION_EVENTS.map((event) => CARD_FLOW.next(state, event) ?? "-")]),
  );
  assert.deepEqual(RESERVATION_STATES, Object.keys(CARD_FLOW.table));
  const used = new Set(Object.values(CARD_FLOW.table).flatMap((events) => Object.keys(events)));
  assert.deepEqual([...used].sort(), [...RESERVATION_EVENTS].sort());
  const no = "-";
  assert.deepEqual(walked, {
    reserved: ["reserved", "key-seen", no, no, no, "scrapped", "missing", no, no],
    "key-seen": ["reserved", "key-seen", "attested", no, no, "scrapped", "missing", no, no],
    attested: ["attested", "key-seen", no, "installed", "good", "scrapped", "missing", no, no],
    installed: ["installed", no, no, no, "good", "scrapped", "missing", no, no],
    good: Array(9).fill(no),
    scrapped: Array(9).fill(no),
    missing: [no, no, no, no, no, no, no, "good", "scrapped"],
  });
});
