/** The life of a card's record, as a table (spec/card.md, section 7, steps 5 to 9). The database has the same one. */

import { type Flow, flow } from "shared/base/flow.ts";
import type { ReservationState } from "../../transport/issuance_store/records.ts";

/** How a record begins: a chip gets a serial. The database's table has it as the way from `none`. */
export const FIRST_STEP = { event: "reserve", state: "reserved" } as const;

/** What can happen to a record. */
export const RESERVATION_EVENTS = [
  /** The same chip asks again: the same serial, a new DGI 8137 key, maybe another station. */
  "reserve-again",
  /** A public key was received and checked; the token is asked after this is on record. */
  "see-key",
  /** The certificate of that key is on record. */
  "attest",
  /** The station reports that the card holds the certificate. */
  "install",
  "close-good",
  "close-scrapped",
  /** The batch is closed without the card. */
  "lose",
  /** A missing card was found: a batch manager corrects the record and says why. */
  "correct-good",
  "correct-scrapped",
] as const;

/** One of {@link RESERVATION_EVENTS}. */
export type ReservationEvent = typeof RESERVATION_EVENTS[number];

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
