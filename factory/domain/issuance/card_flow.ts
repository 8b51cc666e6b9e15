/** The life of a card's record, as a table (spec/card.md, section 7, steps 5 to 9). The database has the same one. */

import { type Flow, flow } from "shared/base/flow.ts";
import type { ReservationEvent, ReservationState } from "../../transport/issuance_store/records.ts";

export type { ReservationEvent };

/** How a record begins: a chip gets a serial. The database's table has it as the way from `none`. */
export const FIRST_STEP = { event: "reserve", state: "reserved" } as const;

/**
 * An attested card whose public key is new was torn in life cycle 0: the old certificate is revoked when the new key is
 * seen, and superseded when that is attested. An installed card has left life cycle 0 and makes no key any more. A good
 * card may follow an attested one directly: the closure names the certificate that mutual authentication has proven on
 * the card. What is closed stays closed; a missing card changes by a correction only.
 */
export const CARD_FLOW: Flow<ReservationState, ReservationEvent> = flow({
  reserved: {
    "reserve-again": "reserved",
    "see-key": "key-seen",
    "close-scrapped": "scrapped",
    lose: "missing",
  },
  "key-seen": {
    "reserve-again": "reserved",
    "see-key": "key-seen",
    attest: "attested",
    "close-scrapped": "scrapped",
    lose: "missing",
  },
  attested: {
    "reserve-again": "attested",
    "see-key": "key-seen",
    install: "installed",
    "close-good": "good",
    "close-scrapped": "scrapped",
    lose: "missing",
  },
  installed: {
    "reserve-again": "installed",
    "close-good": "good",
    "close-scrapped": "scrapped",
    lose: "missing",
  },
  good: {},
  scrapped: {},
  missing: { "correct-good": "good", "correct-scrapped": "scrapped" },
});

/** Every state of a record, for tests and reports. */
export const RESERVATION_STATES: readonly ReservationState[] = [
  "reserved",
  "key-seen",
  "attested",
  "installed",
  "good",
  "scrapped",
  "missing",
];

/** Every event, for tests. */
export const RESERVATION_EVENTS: readonly ReservationEvent[] = [
  "reserve-again",
  "see-key",
  "attest",
  "install",
  "close-good",
  "close-scrapped",
  "lose",
  "correct-good",
  "correct-scrapped",
];
