/** Ports to a card and to the readers of a station. Adapters: PC/SC (pcsc/), virtual readers (virtual_reader/). */

import { defineErrors } from "../base/errors.ts";

/** One powered card. Commands and answers are raw APDUs; the answer ends in its two status bytes. */
export interface CardChannel {
  /** Answer to reset. */
  readonly atr: Uint8Array;
  /**
   * Sends one command APDU and waits for its answer. One in flight at a time.
   * @throws {CodedError} `CARD_REMOVED`, `CARD_TIMEOUT`, `CARD_CHANNEL_CLOSED`, `CARD_NO_ANSWER`.
   */
  transmit(command: Uint8Array): Promise<Uint8Array>;
  /** Cold reset. The channel stays usable. @throws {CodedError} `CARD_REMOVED`. */
  reset(): Promise<void>;
  /** Lets the card go. Safe to call twice; never throws. */
  close(): Promise<void>;
}

/** What happens at the readers. Every `watch` begins with the present state as events. */
export type ReaderEvent =
  | { readonly kind: "reader-added"; readonly reader: string }
  | { readonly kind: "reader-removed"; readonly reader: string }
  | { readonly kind: "card-inserted"; readonly reader: string; readonly atr: Uint8Array }
  | { readonly kind: "card-removed"; readonly reader: string }
  | { readonly kind: "service-lost" }
  | { readonly kind: "service-restored" };

/** The readers of a station. */
export interface ReaderService {
  /** Names of the readers that are connected now. */
  readers(): Promise<string[]>;
  /** Events as they happen, until the signal aborts. Survives a restarted PC/SC service. */
  watch(signal: AbortSignal): AsyncIterable<ReaderEvent>;
  /** Exclusive connection to the card in a reader. @throws {CodedError} `READER_UNKNOWN`, `CARD_ABSENT`, `CARD_BUSY`, `PCSC_UNAVAILABLE`. */
  connect(reader: string): Promise<CardChannel>;
  /** Releases everything. */
  close(): Promise<void>;
}

defineErrors({
  CARD_REMOVED: { fault: "card", retry: true, next: "Put the card back on the reader and leave it there." },
  CARD_TIMEOUT: { fault: "card", retry: true, next: "Take the card off and present it again." },
  CARD_NO_ANSWER: { fault: "card", retry: true, next: "Clean the contacts and present the card again." },
  CARD_CHANNEL_CLOSED: { fault: "bug", retry: false, next: "Report it." },
  CARD_ABSENT: { fault: "card", retry: true, next: "Put a card on the reader." },
  CARD_BUSY: {
    fault: "card",
    retry: true,
    next: "Another program holds the card: stop it, or take another reader.",
  },
  READER_UNKNOWN: {
    fault: "usage",
    retry: false,
    next: "`rk reader list` names the readers that are connected.",
  },
  PCSC_UNAVAILABLE: {
    fault: "installation",
    retry: true,
    next: "Start the PC/SC service (Debian: apt-get install pcscd; systemctl start pcscd).",
  },
});
