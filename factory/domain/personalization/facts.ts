/** What is known of the card on the reader. Facts only grow while it is worked on; nothing here outlives the presentation. */

import { toHex } from "shared/base/bytes.ts";
import type { Secret } from "shared/base/secret.ts";
import type { AppletStatus } from "shared/protocol/recovery_key/status.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import type { Chip } from "shared/protocol/wire/attestation.ts";
import type { LoadPlan } from "../package/load_plan.ts";

/** What the registry of the card says about what the profile wants there. */
export interface CardContent {
  readonly packageLoaded: boolean;
  readonly ssdInstalled: boolean;
  /** Whether the SSD has keys of its own; without, it uses those of the ISD. GPC 2.3.1, 7.3. */
  readonly ssdKeyed: boolean;
  readonly appletInstalled: boolean;
  /** AID (hex) of the domain that the applet belongs to; undefined when the card does not say. */
  readonly appletDomain: string | undefined;
}

/** The facts; see the module's comment. */
export interface CardFacts {
  /** 42 bytes; null when the card has none. */
  cplc: Uint8Array | null;
  /** Key versions of the ISD; null when the card does not tell. */
  keyVersions: readonly number[] | null;
  /** 10 bytes, from INITIALIZE UPDATE. */
  keyDiversificationData?: Uint8Array;
  /** The same of another domain or of the applet, where a card says something else there; by channel target. */
  readonly otherDiversificationData: Map<string, Uint8Array>;
  /** What the applet says of itself; undefined: there is no applet yet. */
  applet?: AppletStatus;
  content?: CardContent;
  /** Life cycle of the card, see `CARD_LIFE_CYCLE`. */
  cardLifeCycle?: number;
  /** Whether the ISD's keys are the thrown-away ones. */
  isdKeysReplaced: boolean;
  /** The package to load and its signature, when the profile has one. */
  loadPlan?: LoadPlan;
  /** Reservation ID and serial (4 bytes). */
  reservation?: string;
  serial?: Uint8Array;
  /** Issuer's public key (65), from the batch. */
  issuerPublicKey: Uint8Array;
  /** Private key (32) for DGI 8137, and its public half. Wiped as soon as it is on the card. */
  personalizationKey?: Secret;
  personalizationPublicKey?: Uint8Array;
  /** The card's key (65) and the signature that proves where it was made. */
  publicKey?: Uint8Array;
  publicKeySignature?: Uint8Array;
  certificate?: Uint8Array;
  /** 32 bytes of hex. */
  certificateSha256?: string;
  /** Random keys for the ISD that nobody keeps. */
  throwAwayKeys?: StaticKeys;
  /** Milliseconds that the card itself has taken so far. */
  cardMilliseconds: number;
}

/** How the attestation service names this chip. Needs `keyDiversificationData`. */
export function chipOf(facts: CardFacts): Chip {
  return {
    cplc: facts.cplc === null ? null : toHex(facts.cplc),
    keyDiversificationData: toHex(facts.keyDiversificationData ?? new Uint8Array(10)),
  };
}

/** The chip as one text: the journal's name for it. */
export function chipKey(chip: Chip): string {
  return `${chip.keyDiversificationData}:${chip.cplc ?? ""}`;
}
