/** What the applet forgets at deselection. Card page, section 3. */

import type { CardKeyPair } from "../crypto.ts";
import type { RecoveryKeyState } from "../state.ts";

/** Transient states as GET STATUS reports them. */
export const TRANSIENT_STATE = {
  IDLE: 0,
  INITIALIZED: 1,
  PIN_LOCKED: 2,
  AUTHENTICATED: 3,
  PIN_UNLOCKED: 4,
} as const;

/** Life cycles as GET STATUS reports them. */
export const APPLET_LIFE_CYCLE = {
  FABRICATION: 0,
  PENDING_TESTS: 1,
  ATTESTED: 2,
  USER_PERSONALIZED: 3,
} as const;

/** Keys of the inner channel. Card page, section 6. */
export interface InnerChannelKeys {
  /** AES-256. */
  readonly encryption: Uint8Array;
  /** 8 bytes. */
  readonly mac: Uint8Array;
}

/** Volatile memory of the selected applet. */
export interface AppletVolatile {
  transient: number;
  /** Challenge of GET CARD CERTIFICATE static (1 to 8); null until then. */
  hostChallenge: Uint8Array | null;
  /** 8 bytes; zeros until GET CARD CERTIFICATE ephemeral. */
  cardChallenge: Uint8Array;
  ephemeral: CardKeyPair | null;
  /** Accepted host certificate. */
  host: { readonly serial: Uint8Array; readonly publicKey: Uint8Array } | null;
  keys: InnerChannelKeys | null;
  /** PIN of SET PIN until SET SEED commits it. */
  pendingPin: Uint8Array | null;
}

/** The transient state right after SELECT, by life cycle. */
export function transientAfterSelect(lifeCycle: number): number {
  if (lifeCycle === APPLET_LIFE_CYCLE.ATTESTED) return TRANSIENT_STATE.INITIALIZED;
  if (lifeCycle === APPLET_LIFE_CYCLE.USER_PERSONALIZED) return TRANSIENT_STATE.PIN_LOCKED;
  return TRANSIENT_STATE.IDLE;
}

/** Volatile memory right after SELECT; null: the selected application is not the applet. */
export function volatileAfterSelect(applet: RecoveryKeyState | null): AppletVolatile {
  return {
    transient: transientAfterSelect(applet?.lifeCycle ?? 0),
    hostChallenge: null,
    cardChallenge: new Uint8Array(8),
    ephemeral: null,
    host: null,
    keys: null,
    pendingPin: null,
  };
}
