/** What the attestation service keeps, as its decisions read it. Byte strings are upper-case hex. */

/** Who may send. */
export type SenderRole = "station" | "batch-manager";

/** A sender, as the database knows it. */
export interface SenderRecord {
  readonly name: string;
  readonly role: SenderRole;
  readonly disabled: boolean;
}

/** A batch: one range of serials and the facts that go into its certificates. */
export interface BatchRecord {
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
  /** Closed by hand; a full batch is not closed, its cards may come again. */
  readonly closed: boolean;
}

/** The facts of a batch, without its serials. */
export type BatchFacts = Pick<
  BatchRecord,
  "name" | "quantity" | "profileName" | "profileSha256" | "targetId" | "targetDevice" | "anonymousChips"
>;

/** Where a card's record is. `good` and `scrapped` are final. */
export type ReservationState = "reserved" | "attested" | "good" | "scrapped";

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
