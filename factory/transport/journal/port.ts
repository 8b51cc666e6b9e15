/**
 * What a station remembers of its cards. A journal holds no secret: no key, no DGI 8137 value, no session key. It is
 * written before an effect is relied on, and read when a card comes back.
 */

/** Where a card's work stands. */
export type JournalState = "open" | "good" | "scrapped";

/** One piece of work on one card: from its reservation to its closure, over as many presentations as it takes. */
export interface JournalCard {
  readonly id: number;
  /** Key diversification data and CPLC, as text: which chip it is. */
  readonly chip: string;
  readonly batch: string;
  readonly state: JournalState;
  /** 4 bytes of hex, from the reservation. */
  readonly serial: string | null;
  readonly reservation: string | null;
  /** 65 bytes of hex, the card's answer to the last GET PUBLIC KEY. */
  readonly publicKey: string | null;
  /** SHA-256 (hex) of the last certificate issued for the card. */
  readonly certificateSha256: string | null;
  /** Name of the last step that is known to have happened. */
  readonly step: string | null;
  /** Presentations so far. */
  readonly presentations: number;
  /** APDUs over all presentations. */
  readonly apdus: number;
  /** Times in a row that the card itself failed. */
  readonly failures: number;
  /** Authentications in a row that were begun and brought no answer. */
  readonly attempts: number;
  /** Highest life cycle that the applet has reported: it never goes back to 0, so a blank card is another chip. */
  readonly lifeCycle: number;
  /** Error code of the last failure, or of the scrapping. */
  readonly reason: string | null;
  /** Whether the attestation service knows the outcome; with state open: nothing is to be done here any more. */
  readonly closed: boolean;
  readonly reader: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
}

/** Facts of a card that change. */
export type JournalChange = Partial<
  Pick<
    JournalCard,
    | "state"
    | "serial"
    | "reservation"
    | "publicKey"
    | "certificateSha256"
    | "presentations"
    | "apdus"
    | "failures"
    | "attempts"
    | "lifeCycle"
    | "reason"
    | "closed"
    | "reader"
  >
>;

/** A step of a card, as written. */
export interface JournalStep {
  readonly card: number;
  readonly step: string;
  readonly state: "begun" | "done" | "failed";
  /** Public facts only. */
  readonly note: string | null;
  readonly at: number;
}

/** A stop of the line, as written. */
export interface JournalStop {
  /** A reader's name, or empty for the whole station. */
  readonly scope: string;
  /** Why, for people. */
  readonly reason: string;
  readonly at: number;
}

/** The journal of a station. Writes are visible at once and on disk after `flush`. */
export interface Journal {
  /** The last work on a chip; with a serial, the last work that gave it this serial. */
  find(chip: string, serial?: string): JournalCard | undefined;
  /** Begins work on a chip. */
  begin(card: Pick<JournalCard, "chip" | "batch" | "reader" | "startedAt">): JournalCard;
  /** Changes facts of a card and returns it. */
  change(id: number, change: JournalChange): JournalCard;
  /** Writes a step: one row for each (card, step), the last word wins; events keep every word. */
  note(step: JournalStep): void;
  /** The steps of a card. */
  steps(id: number): JournalStep[];
  /** Cards whose work is not finished, oldest first. */
  unfinished(): JournalCard[];
  /** Authentication with this chip failed: no key is tried on it again until `unblock`. */
  block(chip: string, code: string, at: number): void;
  /** The code of the failure that blocks a chip. */
  blocked(chip: string): string | undefined;
  /** Lets a chip be tried again: an explicit human decision. */
  unblock(chip: string): void;
  /** The line was stopped: `scope` is a reader, or the station. It stays so over restarts, until `release`. */
  stop(stop: JournalStop): void;
  /** What is stopped. */
  stops(): JournalStop[];
  /** A human said that work goes on. */
  release(scope: string): void;
  /**
   * Resolves when everything written so far is on disk. After a failure nothing more is accepted: what the disk holds
   * is what a new start of the station finds.
   * @throws {CodedError} `JOURNAL_UNUSABLE`.
   */
  flush(): Promise<void>;
  /** Shows, by writing, that the journal can still be written: asked before a card is touched. @throws {CodedError} `JOURNAL_UNUSABLE`. */
  ready(): Promise<void>;
  /** Writes what is left and closes the file. */
  close(): Promise<void>;
}
