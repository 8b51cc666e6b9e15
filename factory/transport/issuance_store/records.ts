/** What the attestation service keeps, as its decisions read it. Byte strings are upper-case hex. */

/** Where a batch is. A held batch gives out no serials and no card keys; a closed one never changes. */
export type BatchState = "held" | "open" | "closed";

/** When a batch stops by itself; see `JudgementLimits`, which has these members. */
export interface BatchLimits {
  readonly scrappedInRow: number | null;
  readonly yieldPercent: number | null;
  readonly yieldAfterCards: number;
  readonly yieldWindowCards: number;
}

/** Who may send. */
export type SenderRole = "station" | "batch-manager";

/** A sender, as the database knows it. */
export interface SenderRecord {
  readonly name: string;
  readonly role: SenderRole;
  readonly disabled: boolean;
}

/** A batch: one range of serials and the facts that go into its certificates. */
export interface BatchRecord extends BatchLimits {
  readonly name: string;
  /** Cards; exactly as many serials. */
  readonly quantity: number;
  readonly profileName: string;
  readonly profileSha256: string;
  /** 4 bytes. */
  readonly targetId: string;
  /** 1 byte, tag 35 of the certificate. */
  readonly targetDevice: string;
  /** See `CreateBatchRequest.anonymousChips`. */
  readonly anonymousChips: boolean;
  readonly firstSerial: number;
  readonly lastSerial: number;
  /** The serial that comes next; `lastSerial + 1` when none is left. */
  readonly nextSerial: number;
  readonly state: BatchState;
  /** Closed by a batch manager; a full batch is not closed, its cards may come again. */
  readonly closed: boolean;
}

/** The facts of a batch, without its serials. */
export type BatchFacts =
  & Pick<
    BatchRecord,
    "name" | "quantity" | "profileName" | "profileSha256" | "targetId" | "targetDevice" | "anonymousChips"
  >
  & Partial<BatchLimits>;

/**
 * Where a card's record is.
 * - `reserved`: it has a serial and a DGI 8137 key.
 * - `key-seen`: its public key was received and checked, and is on record; the token may not have signed it yet.
 * - `attested`: its certificate is on record.
 * - `installed`: the station reports that the card holds the certificate.
 * - `good`, `scrapped`: closed. Final.
 * - `missing`: its batch was closed without it. Only a recorded correction leads from here.
 */
export type ReservationState =
  | "reserved"
  | "key-seen"
  | "attested"
  | "installed"
  | "good"
  | "scrapped"
  | "missing";

/**
 * What can happen to a record.
 * - `reserve-again`: the same chip asks again: the same serial, a new DGI 8137 key, maybe another station.
 * - `see-key`: a public key was received and checked; the token is asked after this is on record.
 * - `attest`: the certificate of that key is on record.
 * - `install`: the station reports that the card holds the certificate.
 * - `close-good`, `close-scrapped`: the station closes the record.
 * - `lose`: the batch is closed without the card.
 * - `correct-good`, `correct-scrapped`: a missing card was found; a batch manager corrects the record and says why.
 */
export type ReservationEvent =
  | "reserve-again"
  | "see-key"
  | "attest"
  | "install"
  | "close-good"
  | "close-scrapped"
  | "lose"
  | "correct-good"
  | "correct-scrapped";

/** A serial that was given to a chip. */
export interface ReservationRecord {
  /** UUID. */
  readonly id: string;
  readonly batch: string;
  /** Name of the station that reserved it last. */
  readonly station: string;
  readonly serial: number;
  readonly state: ReservationState;
  /** Public half of the DGI 8137 key that was drawn last, 65 bytes. */
  readonly personalizationKey: string;
  /** The card's public key that was checked last, 65 bytes. */
  readonly seenPublicKey: string | null;
}

/** A station's part of a batch. */
export interface BatchStationRecord {
  readonly station: string;
  /** Serials that it may take at most; null: as many as the batch has. */
  readonly quota: number | null;
  /** Serials that it took. */
  readonly reserved: number;
}

/** Why a certificate is on the revocation list. `missing` is a hold: a correction ends it. */
export type RevocationReason = "superseded" | "scrapped" | "missing";

/** A certificate that no wallet may accept. */
export interface RevokedCertificate {
  /** SHA-256 of it. */
  readonly certificateSha256: string;
  readonly serial: number;
  readonly reason: RevocationReason;
}

/** The list of revoked certificates that is published. Times are seconds since 1970. */
export interface PublishedList {
  readonly number: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** SHA-256 of what it lists. */
  readonly entriesSha256: string;
  /** The list as wallets take it. */
  readonly list: string;
}

/** A certificate that was issued. */
export interface CertificateRecord {
  /** UUID of its reservation. */
  readonly reservation: string;
  /** 65 bytes. */
  readonly publicKey: string;
  /** The whole certificate, at most 239 bytes. */
  readonly certificate: string;
  /** SHA-256 of it. */
  readonly sha256: string;
  readonly revoked: boolean;
  /** Whether it replaced an earlier certificate of its reservation. */
  readonly supersedes: boolean;
}

/** How a card's record was closed. */
export interface ClosureRecord {
  readonly outcome: "good" | "scrapped";
  readonly reason: string | null;
  readonly certificateSha256: string | null;
}

/** A host certificate that was issued. */
export interface HostCertificateRecord {
  readonly station: string;
  /** 65 bytes. */
  readonly publicKey: string;
  /** DER, low-S. */
  readonly signature: string;
}
