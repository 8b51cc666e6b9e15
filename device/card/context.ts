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

/** State of the card since power-on. */
export interface VolatileState {
  /** AID of the selected domain or instance. */
  selected: Uint8Array;
  /** SCP03 of the selected application. */
  channel: CardSecureChannel;
  /** Target of INSTALL [for personalization] in this session. */
  personalizing: Uint8Array | null;
  load: LoadInProgress | null;
  /** Where GET STATUS "get next" goes on: scope 0 means nowhere. */
  registryPosition: { scope: number; next: number };
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
}
