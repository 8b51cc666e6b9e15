/** What follows from a failure, as a table: present again, take off, scrap, or look after the station. */

import { type ErrorRow, errorRow } from "shared/base/errors.ts";
import { mayScrap } from "./resumption.ts";

/**
 * - `again`: the card may be presented again and will go on.
 * - `refused`: nothing was changed on the card; it does not belong on the line now.
 * - `scrapped`: the card is closed with a reason that its step allows.
 * - `station`: not the card's fault; the card goes on when the station can.
 */
export type Disposition = "again" | "refused" | "scrapped" | "station";

/** Times in a row that a card itself may fail before it is scrapped. Removal is not the card's fault and never counts. */
export const CARD_FAILURES_MAX = 3;

/** Codes whose disposition is not that of their fault. */
const DISPOSITIONS: Readonly<Record<string, Disposition>> = {
  // Taken off too early, by hand or by a bad contact: always again, never counted.
  CARD_REMOVED: "again",
  CARD_TIMEOUT: "again",
  CARD_NO_ANSWER: "again",
  CARD_ABSENT: "again",
  CARD_BUSY: "again",
  CARD_TWIN: "again",
  CARD_SWAPPED: "again",
  CARD_RESET: "again",
  STATION_STOPPED: "again",
  APDU_NO_STATUS: "again",

  // Not a card for this line, or not now.
  CARD_ALREADY_ATTESTED: "refused",
  CARD_IN_USE: "refused",
  CARD_SCRAPPED: "refused",
  CARD_DUPLICATE: "refused",
  CARD_AUTHENTICATION_BLOCKED: "refused",
  CARD_KEY_VERSION: "refused",
  CARD_APPLET_MISSING: "refused",
  CARD_STATE: "refused",
  CARD_TARGET: "refused",
  PROFILE_CARD: "refused",
  SCP03_CARD_CRYPTOGRAM: "refused",
  SCP03_AUTHENTICATION_FAILED: "refused",
  SCP03_INITIALIZE_REFUSED: "refused",
  SCP03_MALFORMED: "refused",
  SCP03_PROTOCOL: "refused",
  SCP03_KEY_VERSION: "refused",
  ATTEST_CHIP_CLOSED: "refused",
  ATTEST_CHIP_ELSEWHERE: "refused",
  ATTEST_CHIP_TWIN: "refused",
  ATTEST_QUOTA_EXHAUSTED: "refused",
  ATTEST_STATION_QUOTA_EXHAUSTED: "refused",
  ATTEST_STATION_NOT_IN_BATCH: "refused",
  ATTEST_CHIP_MISSING: "refused",
  ATTEST_MISSING: "refused",
  // The record says that a card of this chip holds its certificate, and this one is blank.
  ATTEST_INSTALLED: "refused",
};

/** Codes that end an authentication: no other key is tried on the card unasked. */
export const AUTHENTICATION_FAILURES: ReadonlySet<string> = new Set([
  "SCP03_CARD_CRYPTOGRAM",
  "SCP03_AUTHENTICATION_FAILED",
]);

/** The outcome of a failure. */
export interface FailureDecision {
  readonly disposition: Disposition;
  /** Whether it counts against the card. */
  readonly counts: boolean;
}

/**
 * Decides what follows from a failure. Which failures scrap a card is a matter of the step: resumption.ts.
 * @param step where it happened.
 * @param failures times in a row that this card has failed before.
 */
export function decideFailure(code: string, step: string, failures: number): FailureDecision {
  const fixed = DISPOSITIONS[code];
  if (fixed !== undefined) return { disposition: fixed, counts: false };
  if (mayScrap(step, code, false)) return { disposition: "scrapped", counts: false };
  const row: ErrorRow = errorRow(code);
  if (row.fault !== "card" && !/^(TLV|LAYOUT)_/.test(code)) return { disposition: "station", counts: false };
  // The card itself answered wrongly: a bad contact now and then, a bad card when it repeats.
  const repeated = failures + 1 >= CARD_FAILURES_MAX;
  return { disposition: repeated && mayScrap(step, code, true) ? "scrapped" : "again", counts: true };
}
