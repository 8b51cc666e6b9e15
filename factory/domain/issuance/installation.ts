/** May a card's record say that the card holds its certificate? (spec/card.md, section 7, step 7.) */

import type { InstallationRequest } from "shared/protocol/wire/attestation.ts";
import type { CertificateRecord, ReservationRecord } from "../../transport/issuance_store/records.ts";
import { CARD_FLOW } from "./card_flow.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** What is known when a station reports SET CERTIFICATE. */
export interface InstallRecord {
  readonly reservation: ReservationRecord | undefined;
  /** The certificate of the reservation that is not revoked. */
  readonly live: CertificateRecord | undefined;
}

/** Outcome of `mayInstall`. */
export type InstallDecision =
  | { readonly kind: "accept"; readonly reservation: ReservationRecord }
  | { readonly kind: "repeat"; readonly state: "installed" | "good" }
  | Refusal;

/**
 * Decides on an installation reported by `station`. A batch that was closed by hand still lets its cards report. A card
 * that was closed good meanwhile held its certificate before: the late report changes nothing.
 */
export function mayInstall(
  { reservation, live }: InstallRecord,
  station: string,
  request: InstallationRequest,
): InstallDecision {
  if (reservation === undefined) return refuse("ATTEST_RESERVATION_UNKNOWN");
  if (reservation.station !== station) return refuse("ATTEST_STATION_MISMATCH");
  const { state } = reservation;
  if (state === "scrapped") return refuse("ATTEST_CLOSED");
  if (state === "missing") return refuse("ATTEST_MISSING");
  if (state === "reserved" || state === "key-seen") return refuse("ATTEST_NOT_ATTESTED");
  if (live?.sha256 !== request.certificateSha256) return refuse("ATTEST_CERTIFICATE_MISMATCH");
  if (CARD_FLOW.next(state, "install") !== undefined) return { kind: "accept", reservation };
  return { kind: "repeat", state: state === "good" ? "good" : "installed" };
}
