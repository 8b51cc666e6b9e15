/** May a card's record be closed, and how? (spec/card.md, section 7, step 9.) */

import type { ClosureRequest } from "shared/protocol/wire/attestation.ts";
import { CARD_FLOW } from "./card_flow.ts";
import type {
  CertificateRecord,
  ClosureRecord,
  ReservationRecord,
} from "../../transport/issuance_store/records.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** What is known when a record is to be closed. */
export interface CloseRecord {
  readonly reservation: ReservationRecord | undefined;
  /** The certificate of the reservation that is not revoked. */
  readonly live: CertificateRecord | undefined;
  /** The closure, when it was closed before. */
  readonly closure: ClosureRecord | undefined;
}

/** Outcome of `mayClose`. A scrapped card's certificate is revoked. */
export type CloseDecision =
  | {
    readonly kind: "accept";
    readonly reservation: ReservationRecord;
    readonly state: "good" | "scrapped";
    readonly revoke: CertificateRecord | undefined;
  }
  | { readonly kind: "repeat"; readonly outcome: "good" | "scrapped" }
  | Refusal;

/** Decides on a closure asked for by `station`. A batch that was closed by hand still lets its cards be closed. */
export function mayClose(record: CloseRecord, station: string, request: ClosureRequest): CloseDecision {
  const { reservation, live, closure } = record;
  if (reservation === undefined) return refuse("ATTEST_RESERVATION_UNKNOWN");
  if (reservation.station !== station) return refuse("ATTEST_STATION_MISMATCH");
  const good = request.outcome === "good";
  if (good !== (request.reason === null)) return refuse("ATTEST_REASON_MISSING");
  if (Date.parse(request.finishedAt) < Date.parse(request.startedAt)) return refuse("ATTEST_TIMES");
  if (reservation.state === "missing") return refuse("ATTEST_MISSING");
  if (closure !== undefined) {
    const same = closure.outcome === request.outcome && closure.reason === request.reason &&
      closure.certificateSha256 === request.certificateSha256;
    return same ? { kind: "repeat", outcome: closure.outcome } : refuse("ATTEST_CLOSED");
  }
  const state = CARD_FLOW.next(reservation.state, good ? "close-good" : "close-scrapped");
  if (state !== "good" && state !== "scrapped") {
    const early = reservation.state === "reserved" || reservation.state === "key-seen";
    return refuse(early ? "ATTEST_NOT_ATTESTED" : "ATTEST_CLOSED");
  }
  if (good && (live === undefined || live.sha256 !== request.certificateSha256)) {
    return refuse("ATTEST_CERTIFICATE_MISMATCH");
  }
  return { kind: "accept", reservation, state, revoke: good ? undefined : live };
}
