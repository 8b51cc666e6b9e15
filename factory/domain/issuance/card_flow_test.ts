import assert from "node:assert/strict";
import { CARD_FLOW, RESERVATION_STATES, type ReservationEvent } from "./card_flow.ts";

const EVENTS: readonly ReservationEvent[] = ["reserve-again", "attest", "close-good", "close-scrapped"];

Deno.test("CARD_FLOW every state x event", () => {
  const walked = Object.fromEntries(
    RESERVATION_STATES.map((state) => [state, EVENTS.map((event) => CARD_FLOW.next(state, event) ?? "-")]),
  );
  assert.deepEqual(walked, {
    reserved: ["reserved", "attested", "-", "scrapped"],
    attested: ["attested", "attested", "good", "scrapped"],
    good: ["-", "-", "-", "-"],
    scrapped: ["-", "-", "-", "-"],
  });
});
