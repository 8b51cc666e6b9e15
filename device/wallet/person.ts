/** The person in front of a wallet, as a port: a terminal, a file of secrets, a program behind a socket. */

import type { Secret } from "shared/base/secret.ts";
import type { CardFacts } from "./card_facts.ts";

/** Secrets by the names that `--secrets-fd` and the served protocol use. */
export const SECRET_NAMES = ["walletPin", "newWalletPin", "cardPin", "newCardPin", "words"] as const;
/** One of them. */
export type SecretName = typeof SECRET_NAMES[number];

/** Questions that need a yes before something cannot be undone. */
export const CONFIRMATIONS = ["last-try", "wipe", "other-seed", "erase-wallet"] as const;
/** One of them. */
export type Confirmation = typeof CONFIRMATIONS[number];

/** What is told on the way. */
export type Notice =
  /** Put the card on the reader; the second time, this same card. */
  | { readonly kind: "present"; readonly tap: number; readonly card: CardFacts | null }
  /** This card is there. */
  | { readonly kind: "card"; readonly tap: number; readonly card: CardFacts }
  /** Whether it holds the wallet's seed. */
  | { readonly kind: "match"; readonly matches: boolean }
  /** What was typed is no PIN; it is asked again and no try is spent. */
  | { readonly kind: "pin-rule" }
  | { readonly kind: "pin-wrong"; readonly whose: "wallet" | "card"; readonly triesLeft: number }
  /** A backup of an earlier run is gone on with. */
  | { readonly kind: "resumed"; readonly card: CardFacts };

/** What a question is about, for its words. */
export interface About {
  /** Tries left of the PIN that is asked. */
  readonly triesLeft?: number;
  readonly card?: CardFacts;
}

/** The port. */
export interface Person {
  /** Whether a wrong PIN may be asked again in the same run. */
  readonly canRetry: boolean;
  /** Tells something; nothing in it is secret. */
  tell(notice: Notice): void;
  /**
   * Asks for a secret, as typed (UTF-8 bytes); the caller wipes it. A new PIN has been typed twice, or comes from a program.
   * @throws {CodedError} `WALLET_CANCELLED`, `WALLET_SECRET_MISSING`.
   */
  secret(name: SecretName, about: About): Promise<Secret>;
  /** Asks for a yes. @throws {CodedError} `WALLET_CANCELLED`, `WALLET_CONFIRM` when nobody can answer. */
  confirm(what: Confirmation, about: About): Promise<boolean>;
  /** Asks which of several things to do. @throws {CodedError} `WALLET_CANCELLED`, `WALLET_CONFIRM`. */
  choose<T extends string>(question: string, options: readonly T[]): Promise<T>;
  /** Asks for a text that is no secret. @throws {CodedError} `WALLET_CANCELLED`, `WALLET_CONFIRM`. */
  text(question: string): Promise<string>;
}
