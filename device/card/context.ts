/** What a command sees: the persistent state, which it may replace, and the volatile one, gone at power-off. */

import type { LoadProgress } from "shared/protocol/gp/load_parser.ts";
import type { CardCrypto } from "./crypto.ts";
import type { CardSecureChannel } from "./secure_channel.ts";
import type { CardState } from "./state.ts";
import type { AppletVolatile } from "./applet/volatile.ts";

/** A package being loaded. Never persistent: a torn LOAD begins again at block 0. */
export interface LoadInProgress {
  readonly packageAid: Uint8Array;
  /** Domain that the package will belong to. */
  readonly domain: Uint8Array;
  /** SHA-1 or SHA-256 that INSTALL [for load] announced, or empty. */
  readonly hash: Uint8Array;
  readonly progress: LoadProgress;
}

/** What several commands do together. Never persistent, and ended by any other command. */
export type CommandSeries =
  | { readonly kind: "load"; readonly load: LoadInProgress }
  /** Target of INSTALL [for personalization]: STORE DATA goes there. */
  | { readonly kind: "personalize"; readonly aid: Uint8Array }
  /** STORE DATA to the domain itself. */
  | {
    readonly kind: "store-data";
    readonly structure: number;
    readonly next: number;
    readonly bytes: Uint8Array;
  }
  /** PUT KEY whose key needs more than one command. */
  | { readonly kind: "put-key"; readonly p1: number; readonly p2: number; readonly bytes: Uint8Array };

/** How far a listing is. */
export interface RegistryPosition {
  readonly scope: number;
  /** Entries already given. */
  readonly next: number;
}

/** State of the card since power-on. */
export interface VolatileState {
  /** AID of the selected domain or instance. */
  selected: Uint8Array;
  /** SCP03 of the selected application. */
  channel: CardSecureChannel;
  series: CommandSeries | null;
  /** Where GET STATUS "get next" goes on; null: nowhere. */
  registryPosition: RegistryPosition | null;
  /** Of the selected Recovery Key applet. */
  applet: AppletVolatile;
  /** Instance that a right PIN has allowed to be upgraded once; survives SELECT of a domain. */
  upgradeGrant: Uint8Array | null;
}

/** One command's view of the card. */
export interface CardContext {
  /** Persistent: replaced, never changed in place. What it is after the command is stored before the answer. */
  state: CardState;
  readonly volatile: VolatileState;
  readonly crypto: CardCrypto;
  /**
   * Stores `state` in the middle of a command that does its work in several steps: what came before is then kept when
   * power is lost. Throws what the store throws; the card has fallen silent then.
   */
  commit(): void;
}
