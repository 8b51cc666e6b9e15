/** What goes into a request's transaction, and what it reads there. */

import type {
  CertificateRecord,
  ClosureRecord,
  HostCertificateRecord,
  ReservationEvent,
  ReservationRecord,
  ReservationState,
  SenderRecord,
} from "./records.ts";

/** How a request proves that it is new. */
export interface RequestStamp {
  readonly sender: string;
  readonly nonce: string;
  /** Seconds since 1970; the nonce may be forgotten after it. */
  readonly expiresAt: number;
  /** SHA-256 over method, path and body, for the journal and for idempotency. */
  readonly requestSha256?: string;
  /** Value of Idempotency-Key, when the sender gave one; `requestSha256` is then given too. */
  readonly idempotencyKey?: string;
  /** Seconds since 1970; the stored answer may be forgotten after it. */
  readonly answerExpiresAt?: number;
}

/** What was asked before with an Idempotency-Key. */
export interface EarlierRequest {
  readonly requestSha256: string;
  /** JSON text of the answer; null when none was stored: refused, or still at work. */
  readonly answer: string | null;
}

/** What opening a request's transaction tells. */
export interface Opening {
  readonly sender: SenderRecord | undefined;
  /** False when the nonce was spent before. */
  readonly fresh: boolean;
  /** The request that used this Idempotency-Key first, when it was not this one. */
  readonly earlier: EarlierRequest | undefined;
}

/** A new reservation's row. */
export interface NewReservation {
  readonly id: string;
  readonly batch: string;
  readonly station: string;
  readonly serial: number;
  readonly chipKey: string;
  readonly chipDistinct: boolean;
  readonly cplc: string | null;
  readonly keyDiversificationData: string;
  /** What of the chip may belong to no other chip, null where it says nothing; see chip.ts. */
  readonly chipParts: ChipParts;
  readonly personalizationKey: string;
}

/** Parts of a chip's identity; null where the chip says nothing. */
export interface ChipParts {
  /** 10 bytes. */
  readonly diversification: string | null;
  /** 12 bytes. */
  readonly cplcSerial: string | null;
}

/** A change of a record's state, and its entry in the journal. */
export interface Transition {
  readonly reservation: string;
  readonly event: ReservationEvent;
  readonly from: ReservationState;
  readonly to: ReservationState;
  /** Who asked, and with what. */
  readonly by: Pick<RequestStamp, "sender" | "requestSha256">;
  /** The card's public key that this is about, 65 bytes. */
  readonly publicKey?: string;
  /** SHA-256 of the certificate that this is about. */
  readonly certificateSha256?: string | null;
  /** Why, for what needs a reason. */
  readonly reason?: string | null;
}

/** A new certificate's row. */
export interface NewCertificate {
  readonly reservation: string;
  readonly sha256: string;
  readonly publicKey: string;
  readonly certificate: string;
  readonly issuerPublicKey: string;
  readonly station: string;
  /** SHA-256 of the certificate that this one replaces. */
  readonly supersedes: string | null;
}

/** A closure's row. */
export interface NewClosure extends ClosureRecord {
  readonly reservation: string;
  readonly packageSha256: string | null;
  readonly station: string;
  readonly operator: string;
  readonly apdus: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly reader?: string | undefined;
}

/** A new host certificate's row. */
export interface NewHostCertificate extends HostCertificateRecord {
  readonly hostSerial: string;
  readonly issuerPublicKey: string;
}

/** What is known of a chip beyond its batch. */
export interface ChipView {
  /** States of its reservations in other batches. */
  readonly elsewhere: readonly ReservationState[];
  /** Whether another chip has the same diversification data, or the same serial fields of the CPLC. */
  readonly twin: boolean;
}

/** What a request about one reservation reads. */
export interface ReservationView {
  readonly reservation: ReservationRecord;
  readonly live: CertificateRecord | undefined;
  /** The certificate that was issued last, live or revoked. */
  readonly last: CertificateRecord | undefined;
  /** Whether this chip is attested or good under another reservation. */
  readonly chipElsewhere: boolean;
}
