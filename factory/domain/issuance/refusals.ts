/** Why the attestation service refuses: one row a reason, with the HTTP status that a sender sees. */

import { defineErrors, type ErrorRow } from "shared/base/errors.ts";

/** The table. A decision's `reason` is always one of its keys. */
export const ISSUANCE_REFUSALS = defineErrors({
  ATTEST_SENDER_UNKNOWN: {
    fault: "configuration",
    retry: false,
    http: 401,
    next: "Enter the sender's name and keys under `senders` of the attestation service.",
  },
  ATTEST_SENDER_DISABLED: {
    fault: "configuration",
    retry: false,
    http: 403,
    next: "This sender was disabled: ask whoever runs the attestation service.",
  },
  ATTEST_ROLE: {
    fault: "usage",
    retry: false,
    http: 403,
    next: "Batch managers create batches; stations do everything else. Use the right identity.",
  },
  ATTEST_REPLAY: {
    fault: "peer",
    retry: false,
    http: 401,
    next: "This signed request was used already: sign it again with a new nonce.",
  },
  ATTEST_IDEMPOTENCY_REUSED: {
    fault: "usage",
    retry: false,
    http: 422,
    next: "This Idempotency-Key was used for another request: a new request needs a new key.",
  },
  ATTEST_BATCH_UNKNOWN: {
    fault: "usage",
    retry: false,
    http: 404,
    next: "Check the batch's name, or create it: `rk batch create`.",
  },
  ATTEST_BATCH_EXISTS: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "A batch of this name exists with other facts: choose another name.",
  },
  ATTEST_BATCH_CLOSED: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "The batch takes no more cards: create another one.",
  },
  ATTEST_BATCH_HELD: {
    fault: "usage",
    retry: false,
    http: 409,
    next:
      "The batch is held: `rk batch report` tells why, `rk batch open` lets it go on once the cause is removed.",
  },
  ATTEST_BATCH_NOT_HELD: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "The batch is open already: nothing to do.",
  },
  ATTEST_BATCH_REASON: {
    fault: "usage",
    retry: false,
    http: 422,
    next: "Give a reason: it goes on record with what is declared missing or given up.",
  },
  ATTEST_BATCH_SERIALS: {
    fault: "usage",
    retry: false,
    http: 422,
    next:
      "A serial that is named as missing is none of this batch's cards in flight: `rk batch report` lists those.",
  },
  ATTEST_BATCH_UNUSED: {
    fault: "usage",
    retry: false,
    http: 409,
    next:
      "Some serials of the batch are not given out yet, and closing gives them up for good: check the name and `rk batch report`; if it is meant, close with --give-up-unused --reason TEXT.",
  },
  ATTEST_QUOTA_EXHAUSTED: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "Every serial of the batch is given out: create another batch.",
  },
  ATTEST_STATION_NOT_IN_BATCH: {
    fault: "usage",
    retry: false,
    http: 403,
    next: "The batch names its stations and this is none of them: take the card to one of those.",
  },
  ATTEST_STATION_QUOTA_EXHAUSTED: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "This station has taken all its serials of the batch: go on at another station.",
  },
  ATTEST_STATION_UNKNOWN: {
    fault: "usage",
    retry: false,
    http: 422,
    next:
      "The batch names a station that is not under `senders` of the attestation service, or names it twice.",
  },
  ATTEST_SERIALS_EXHAUSTED: {
    fault: "configuration",
    retry: false,
    http: 409,
    next: "The factory's serial range has no room for a batch of this size: extend `serials`.",
  },
  ATTEST_CHIP_CLOSED: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "This card is closed in this batch, good or scrapped: take it off the line.",
  },
  ATTEST_CHIP_ELSEWHERE: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "This card has a certificate in another batch: finish or scrap it there.",
  },
  ATTEST_CHIP_MISSING: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "This card was given up as missing: keep it apart and bring it to whoever closed the batch.",
  },
  ATTEST_CHIP_TWIN: {
    fault: "card",
    retry: false,
    http: 409,
    next:
      "Another chip has the same key diversification data or the same CPLC serial, but not both: a clone, or mixed-up data of the card maker. Keep both cards apart and report it.",
  },
  ATTEST_RESERVATION_UNKNOWN: {
    fault: "usage",
    retry: false,
    http: 404,
    next: "Reserve a serial for this card first.",
  },
  ATTEST_STATION_MISMATCH: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "The card was reserved by another station: reserve it here again, or put it back there.",
  },
  ATTEST_SERIAL_MISMATCH: {
    fault: "peer",
    retry: false,
    http: 409,
    next: "The card's serial is not the reserved one: personalize the card again with its own reservation.",
  },
  ATTEST_PUBLIC_KEY: {
    fault: "card",
    retry: false,
    http: 422,
    next: "The card's public key is not a point of secp256k1: scrap the card.",
  },
  ATTEST_CARD_SIGNATURE: {
    fault: "card",
    retry: false,
    http: 422,
    next: "The card's key is not signed by the DGI 8137 key of this reservation: personalize the card again.",
  },
  ATTEST_KEY_SUPERSEDED: {
    fault: "card",
    retry: false,
    http: 409,
    next: "The certificate of this key was superseded: ask the card for a new key.",
  },
  ATTEST_LIFE_CYCLE: {
    fault: "card",
    retry: false,
    http: 409,
    next:
      "The record has a certificate and this is another key. Read GET STATUS: in life cycle 0 ask again and send it; otherwise the card holds a certificate: report the installation, or scrap the card.",
  },
  ATTEST_INSTALLED: {
    fault: "card",
    retry: false,
    http: 409,
    next:
      "The card holds its certificate and can make no other key in order: scrap it, and find out why it did.",
  },
  ATTEST_MISSING: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "The card was given up as missing when its batch closed: only a recorded correction changes that.",
  },
  ATTEST_KEY_REUSED: {
    fault: "card",
    retry: false,
    http: 409,
    next: "Another card has this public key: scrap both cards and find out why.",
  },
  ATTEST_CLOSED: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "The card's record is closed and cannot change.",
  },
  ATTEST_NOT_ATTESTED: {
    fault: "peer",
    retry: false,
    http: 409,
    next: "A card is good only with a certificate: attest it first.",
  },
  ATTEST_CERTIFICATE_MISMATCH: {
    fault: "peer",
    retry: false,
    http: 409,
    next: "The card does not hold the certificate that was issued last: attest it again, or scrap it.",
  },
  ATTEST_REASON_MISSING: {
    fault: "usage",
    retry: false,
    http: 422,
    next: "A scrapped card needs a reason; a good one has none.",
  },
  ATTEST_TIMES: {
    fault: "usage",
    retry: false,
    http: 422,
    next: "`finishedAt` is before `startedAt`: set the station's clock.",
  },
  ATTEST_HOST_DISABLED: {
    fault: "configuration",
    retry: false,
    http: 404,
    next: "This service issues no host certificates (`hostCertificates.enabled`).",
  },
  ATTEST_HOST_SERIAL: {
    fault: "usage",
    retry: false,
    http: 403,
    next: "Only serials of the factory's own range are certified here, never a customer's wallet.",
  },
  ATTEST_HOST_TAKEN: {
    fault: "usage",
    retry: false,
    http: 403,
    next: "Another station's test wallet has this serial: choose another one.",
  },
});

/** Why a decision refuses. */
export type RefusalReason = keyof typeof ISSUANCE_REFUSALS;

/** A refusal as a value. */
export interface Refusal {
  readonly kind: "refuse";
  readonly reason: RefusalReason;
}

/** Makes a refusal. */
export function refuse(reason: RefusalReason): Refusal {
  return { kind: "refuse", reason };
}

/** HTTP status of a refusal. */
export function refusalStatus(reason: RefusalReason): number {
  const row: ErrorRow = ISSUANCE_REFUSALS[reason];
  return row.http ?? 500;
}
