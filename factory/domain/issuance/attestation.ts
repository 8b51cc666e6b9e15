/** May a card's public key be certified? (spec/card.md, section 7, step 6, and 5.2.) */

import { fromHex, toHex, writeUint } from "shared/base/bytes.ts";
import { ecdsaVerify, isPublicKey } from "shared/crypto/secp256k1.ts";
import { cardKeyMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import type { AttestationRequest } from "shared/protocol/wire/attestation.ts";
import { batchIsOpen } from "./batch.ts";
import { CARD_FLOW } from "./card_flow.ts";
import type {
  BatchRecord,
  CertificateRecord,
  ReservationRecord,
} from "../../transport/issuance_store/records.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** Length of a card serial number in bytes. */
export const SERIAL_LENGTH = 4;

/** A card serial number as 4 bytes of hex. */
export function serialHex(serial: number): string {
  return toHex(writeUint(serial, SERIAL_LENGTH));
}

/** What is known when a card is to be attested. */
export interface AttestRecord {
  readonly reservation: ReservationRecord | undefined;
  /** The reservation's batch. */
  readonly batch: BatchRecord | undefined;
  /** The certificate of the reservation that is not revoked. */
  readonly live: CertificateRecord | undefined;
  /** The certificate that has the requested public key, whichever reservation it belongs to. */
  readonly ofKey: CertificateRecord | undefined;
  /** Whether this chip is attested or good under another reservation. */
  readonly chipElsewhere: boolean;
}

/** Outcome of `mayAttest`: sign these facts, or answer the certificate that was issued for them before. */
export type AttestDecision =
  | {
    readonly kind: "accept";
    readonly reservation: ReservationRecord;
    /** Fields of the certificate. */
    readonly serial: Uint8Array;
    readonly publicKey: Uint8Array;
    readonly targetDevice: number;
    /** The certificate to revoke. */
    readonly supersedes: CertificateRecord | undefined;
  }
  | { readonly kind: "repeat"; readonly certificate: CertificateRecord }
  | Refusal;

/** Decides on an attestation asked for by `station`. */
export function mayAttest(
  record: AttestRecord,
  station: string,
  request: AttestationRequest,
): AttestDecision {
  const { reservation, ofKey } = record;
  if (reservation === undefined) return refuse("ATTEST_RESERVATION_UNKNOWN");
  if (reservation.station !== station) return refuse("ATTEST_STATION_MISMATCH");
  const open = batchIsOpen(record.batch);
  if (open.kind === "refuse") return open;
  if (serialHex(reservation.serial) !== request.serial) return refuse("ATTEST_SERIAL_MISMATCH");
  if (CARD_FLOW.next(reservation.state, "attest") === undefined) return refuse("ATTEST_CLOSED");
  if (ofKey !== undefined) {
    if (ofKey.reservation !== reservation.id) return refuse("ATTEST_KEY_REUSED");
    return ofKey.revoked ? refuse("ATTEST_KEY_SUPERSEDED") : { kind: "repeat", certificate: ofKey };
  }
  if (record.chipElsewhere) return refuse("ATTEST_CHIP_ELSEWHERE");
  const publicKey = fromHex(request.publicKey);
  if (!isPublicKey(publicKey)) return refuse("ATTEST_PUBLIC_KEY");
  const message = cardKeyMessage(fromHex(open.batch.targetId), publicKey);
  if (!ecdsaVerify(fromHex(reservation.personalizationKey), message, fromHex(request.signature))) {
    return refuse("ATTEST_CARD_SIGNATURE");
  }
  return {
    kind: "accept",
    reservation,
    serial: fromHex(request.serial),
    publicKey,
    targetDevice: parseInt(open.batch.targetDevice, 16),
    supersedes: record.live,
  };
}
