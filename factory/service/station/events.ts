/** What a station tells its surroundings while it works: screens and programs read these. No event holds a secret. */

/** How a presentation of a card ended. */
export type CardOutcome = "attested" | "scrapped" | "refused" | "failed";

/** One presentation of one card. */
export interface CardReport {
  /** 4 bytes of hex; null when it never had one. */
  readonly serial: string | null;
  readonly outcome: CardOutcome;
  readonly reader: string;
  /** APDUs of this presentation. */
  readonly apdus: number;
  /** From the card's insertion to the outcome. */
  readonly milliseconds: number;
  /** Of these, spent waiting for the card. */
  readonly cardMilliseconds: number;
  /** SHA-256 (hex) of the certificate that the card holds. */
  readonly certificateSha256: string | null;
  /** Error code; null when attested. */
  readonly reason: string | null;
  /** What happened and what to do, for people; null when attested. */
  readonly message: string | null;
  readonly next: string | null;
  /** The step at which it ended; null when attested. */
  readonly step: string | null;
  /** 42 bytes of hex; null when the card has none or was not read. */
  readonly cplc?: string | null;
}

/** The package that a run loads; told before any card. */
export interface PackageReport {
  readonly name: string | null;
  readonly aid: string;
  /** `MAJOR.MINOR`. */
  readonly version: string;
  /** SHA-256 (hex) of what is loaded, and of the CAP file. */
  readonly loadFileDataBlockHash: string;
  readonly capSha256: string;
  /** Who signed it; null: nobody. */
  readonly signedBy: string | null;
  /** Public key (hex) that signed, and when the signer says that it was. */
  readonly releaseKey: string | null;
  readonly signedAt: string | null;
  /** AIDs of the domains that verify it on the card. */
  readonly verifiedBy: readonly string[];
}

/** An event. */
export type StationEvent =
  | { readonly event: "ready"; readonly batch: string; readonly readers: readonly string[] }
  | {
    readonly event: "unfinished";
    readonly cards: readonly { serial: string | null; step: string | null }[];
  }
  | { readonly event: "package"; readonly package: PackageReport }
  | { readonly event: "reader-added" | "reader-removed"; readonly reader: string }
  | { readonly event: "card-inserted" | "card-removed"; readonly reader: string }
  | {
    readonly event: "step";
    readonly reader: string;
    readonly step: string;
    /** For the operator. */
    readonly words: string;
    /** Position and number of steps, from 1. */
    readonly position: number;
    readonly steps: number;
    readonly serial: string | null;
  }
  | { readonly event: "card"; readonly card: CardReport }
  | {
    /** No card is begun until a person says so. `reader` null: the whole station. */
    readonly event: "stopped";
    readonly reader: string | null;
    readonly code: string;
    readonly reason: string;
    /** What the failed cards share, in words. */
    readonly shared: readonly string[];
  }
  | { readonly event: "resumed"; readonly reader: string | null; readonly operator: string }
  | { readonly event: "service-lost" | "service-restored" }
  | {
    /** A card waits on its reader for the attestation service; it goes on by itself. */
    readonly event: "waiting";
    readonly reader: string;
    readonly code: string;
    readonly message: string;
    /** Waited so far. */
    readonly seconds: number;
  }
  | { readonly event: "failover"; readonly gateway: string; readonly reason: string }
  | { readonly event: "warning"; readonly code: string; readonly message: string };

/** Receives events; must not throw. */
export type EventSink = (event: StationEvent) => void;
