/** May a card's public key be certified? (spec/card.md, section 7, step 6, and 5.2.) */

import { fromHex } from "shared/base/bytes.ts";
import { ecdsaVerify, isPublicKey } from "shared/crypto/secp256k1.ts";
import { cardKeyMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import type { AttestationRequest } from "shared/protocol/wire/attestation.ts";
import { batchIsOpen } from "./batch.ts";
import { CARD_FLOW } from "./card_flow.ts";
import type {
  BatchRecord,
  CertificateRecord,
  ReservationRecord,
  ReservationState,
} from "../../transport/issuance_store/records.ts";
import { serialHex } from "./serial.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** Life cycle of a card that holds no certificate (spec/card.md, section 3): only there can it make a key. */
export const LIFE_CYCLE_FABRICATION = 0;

/** What is known when a card is to be attested. */
export interface AttestRecord {
  readonly reservation: ReservationRecord | undefined;
  /** The reservation's batch. */
  readonly batch: BatchRecord | undefined;
  /** The certificate of the reservation that was issued last, live or revoked. */
  readonly last: CertificateRecord | undefined;
  /** The certificate that has the requested public key, whichever reservation it belongs to. */
  readonly ofKey: CertificateRecord | undefined;
  /** Whether this chip is attested, installed, good or missing under another reservation. */
  readonly chipElsewhere: boolean;
}

/** Fields that are signed, all checked. */
export interface CheckedKey {
  readonly reservation: ReservationRecord;
  /** 4 bytes. */
  readonly serial: Uint8Array;
  /** 65 bytes. */
  readonly publicKey: Uint8Array;
  readonly targetDevice: number;
  /** The certificate that the new one replaces. */
  readonly supersedes: CertificateRecord | undefined;
}

/**
 * Outcome of `mayAttest`: enter the key and sign; or sign a key that is on record; or answer the certificate that was
 * issued for it before.
 */
export type AttestDecision =
  | ({ readonly kind: "see"; readonly from: ReservationState; readonly to: ReservationState } & CheckedKey)
  | ({ readonly kind: "sign" } & CheckedKey)
  | { readonly kind: "repeat"; readonly certificate: CertificateRecord }
  | Refusal;

/**
 * Decides on an attestation asked for by `station`. A new key on a card that has had a certificate was made after a
 * torn run: it counts only while the station reports life cycle 0, for a card that has left it can make none.
 */
export function mayAttest(
  record: AttestRecord,
  station: string,
  request: AttestationRequest,
): AttestDecision {
  const { reservation, ofKey, last } = record;
  if (reservation === undefined) return refuse("ATTEST_RESERVATION_UNKNOWN");
  if (reservation.station !== station) return refuse("ATTEST_STATION_MISMATCH");
  const open = batchIsOpen(record.batch);
  if (open.kind === "refuse") return open;
  if (serialHex(reservation.serial) !== request.serial) return refuse("ATTEST_SERIAL_MISMATCH");
  const { state } = reservation;
  if (state === "good" || state === "scrapped") return refuse("ATTEST_CLOSED");
  if (state === "missing") return refuse("ATTEST_MISSING");
  if (ofKey !== undefined) {
    if (ofKey.reservation !== reservation.id) return refuse("ATTEST_KEY_REUSED");
    return ofKey.revoked ? refuse("ATTEST_KEY_SUPERSEDED") : { kind: "repeat", certificate: ofKey };
  }
  const to = CARD_FLOW.next(state, "see-key");
  if (to === undefined) return refuse("ATTEST_INSTALLED");
  if (last !== undefined && request.lifeCycle !== LIFE_CYCLE_FABRICATION) return refuse("ATTEST_LIFE_CYCLE");
  if (record.chipElsewhere) return refuse("ATTEST_CHIP_ELSEWHERE");
  const publicKey = fromHex(request.publicKey);
  if (!isPublicKey(publicKey)) return refuse("ATTEST_PUBLIC_KEY");
  const message = cardKeyMessage(fromHex(open.batch.targetId), publicKey);
  if (!ecdsaVerify(fromHex(reservation.personalizationKey), message, fromHex(request.signature))) {
    return refuse("ATTEST_CARD_SIGNATURE");
  }
  const checked: CheckedKey = {
    reservation,
    serial: fromHex(request.serial),
    publicKey,
    targetDevice: parseInt(open.batch.targetDevice, 16),
    supersedes: last,
  };
  return state === "key-seen" && reservation.seenPublicKey === request.publicKey
    ? { kind: "sign", ...checked }
    : { kind: "see", from: state, to, ...checked };
}

/** Outcome of `mayCertify`. */
export type CertifyDecision =
  | { readonly kind: "accept"; readonly supersedes: CertificateRecord | undefined }
  | { readonly kind: "repeat"; readonly certificate: CertificateRecord }
  | Refusal;

/**
 * Decides, after the token has signed, whether the certificate may be entered: the record must still say what it said
 * before, for the token was asked outside of any transaction.
 */
export function mayCertify(
  record: Pick<AttestRecord, "reservation" | "last" | "ofKey" | "chipElsewhere">,
  station: string,
  publicKey: string,
): CertifyDecision {
  const { reservation, last, ofKey } = record;
  if (reservation === undefined) return refuse("ATTEST_RESERVATION_UNKNOWN");
  if (reservation.station !== station) return refuse("ATTEST_STATION_MISMATCH");
  const { state } = reservation;
  if (state === "good" || state === "scrapped") return refuse("ATTEST_CLOSED");
  if (state === "missing") return refuse("ATTEST_MISSING");
  if (ofKey !== undefined) {
    if (ofKey.reservation !== reservation.id) return refuse("ATTEST_KEY_REUSED");
    return ofKey.revoked ? refuse("ATTEST_KEY_SUPERSEDED") : { kind: "repeat", certificate: ofKey };
  }
  const next = CARD_FLOW.next(state, "attest");
  if (next === undefined || reservation.seenPublicKey !== publicKey) return refuse("ATTEST_KEY_SUPERSEDED");
  if (record.chipElsewhere) return refuse("ATTEST_CHIP_ELSEWHERE");
  return { kind: "accept", supersedes: last };
}
