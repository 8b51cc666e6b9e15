/** The life of a card's record, as a table (spec/card.md, section 7, steps 6 to 9). */

import { type Flow, flow } from "shared/base/flow.ts";
import type { ReservationState } from "../../transport/issuance_store/records.ts";

/** What can happen to a record. */
export type ReservationEvent = "reserve-again" | "attest" | "close-good" | "close-scrapped";

/**
 * An attested card may be reserved and attested again: it was torn while still in life cycle 0, its key is
 * a new one, and the new certificate supersedes the old. What is closed stays closed.
 */
export const CARD_FLOW: Flow<ReservationState, ReservationEvent> = flow({
  reserved: { "reserve-again": "reserved", attest: "attested", "close-scrapped": "scrapped" },
  attested: {
    "reserve-again": "attested",
    attest: "attested",
    "close-good": "good",
    "close-scrapped": "scrapped",
  },
  good: {},
  scrapped: {},
});

/** Every state, for tests and reports. */
export const RESERVATION_STATES: readonly ReservationState[] = ["reserved", "attested", "good", "scrapped"];
