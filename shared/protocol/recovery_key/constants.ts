/** Names and numbers of the Recovery Key card. Sections are those of spec/card.md. */

import { fromHex } from "../../base/bytes.ts";

/** Class of the applet's own commands on the wire; their C-MAC is over class `84`. Section 2. */
export const CLA_RECOVERY_KEY = 0x08;

// Instructions of the applet. Section 4.

/** RESTORE SEED. */
export const INS_RESTORE_SEED = 0x14;
/** VERIFY PIN. */
export const INS_VERIFY_PIN = 0x20;
/** PIN CHANGE. */
export const INS_PIN_CHANGE = 0x24;
/** VERIFY SEED. */
export const INS_VERIFY_SEED = 0x2a;
/** GET PUBLIC KEY. */
export const INS_GET_PUBLIC_KEY = 0x40;
/** SET CERTIFICATE. */
export const INS_SET_CERTIFICATE = 0x41;
/** VALIDATE HOST CERTIFICATE. */
export const INS_VALIDATE_HOST_CERTIFICATE = 0x51;
/** GET CARD CERTIFICATE. */
export const INS_GET_CARD_CERTIFICATE = 0x52;
/** GET DATA. */
export const INS_GET_DATA = 0xca;
/** SET PIN. */
export const INS_SET_PIN = 0xd0;
/** SET DATA. */
export const INS_SET_DATA = 0xda;
/** SET SEED. */
export const INS_SET_SEED = 0xe0;
/** FACTORY RESET. */
export const INS_FACTORY_RESET = 0xe4;
/** REQUEST UPGRADE. */
export const INS_REQUEST_UPGRADE = 0xe5;
/** SET STATUS. */
export const INS_SET_STATUS = 0xf0;
/** GET STATUS. */
export const INS_GET_STATUS = 0xf2;

/** P1 of GET CARD CERTIFICATE and VALIDATE HOST CERTIFICATE: the static certificate. */
export const P1_STATIC = 0x00;
/** P1 of the same commands: the ephemeral one. */
export const P1_EPHEMERAL = 0x80;
/** P2 of SET STATUS: attested. */
export const P2_ATTESTED = 0x02;

/** GET DATA and SET DATA: card name, up to 32 bytes. */
export const TAG_CARD_NAME = 0x0066;
/** GET DATA: PIN tries left, 1 byte. */
export const TAG_PIN_TRIES_LEFT = 0x9f17;

// Default AIDs; a profile can name others. Section 1.

/** Issuer Security Domain. */
export const ISD_AID = fromHex("A000000151000000");
/** Supplementary Security Domain that owns the applet. */
export const SSD_AID = fromHex("5353445F4C4544474552");
/** Package of the Supplementary Security Domain. */
export const SSD_PACKAGE_AID = fromHex("A0000001515350");
/** Module of the Supplementary Security Domain. */
export const SSD_MODULE_AID = fromHex("A000000151535041");
/** Package of the applet. */
export const APPLET_PACKAGE_AID = fromHex("A0000000624C4544474552303100");
/** Module of the applet, and its default instance. */
export const APPLET_AID = fromHex("A0000000624C45444745523031");

/** The card's target ID (4). */
export const TARGET_ID = fromHex("33400004");

/** Length of a card serial, in bytes. */
export const CARD_SERIAL_LENGTH = 4;
/** Length of a host serial, in bytes. */
export const HOST_SERIAL_LENGTH = 7;
/** Length of a challenge of mutual authentication, in bytes. */
export const CHALLENGE_LENGTH = 8;
/** Length of a target ID, in bytes. */
export const TARGET_ID_LENGTH = 4;

// Data groupings of STORE DATA. Section 7, step 4.

/** Card serial (4). */
export const DGI_CARD_SERIAL = 0x0002;
/** Issuer public key (65). */
export const DGI_ISSUER_PUBLIC_KEY = 0x0036;
/** Key control reference template, without a length byte. */
export const DGI_KEY_REFERENCE = 0x00b9;
/** Private key (32) that attests the card's key. */
export const DGI_CARD_PRIVATE_KEY = 0x8137;

/** Tags inside DGI `00B9`. */
export const KEY_REFERENCE_TAG = {
  USAGE: 0x95,
  TYPE: 0x80,
  LENGTH: 0x81,
  CURVE: 0x82,
  VERSION: 0x83,
} as const;
/** Values of tag `95`. */
export const KEY_USAGE = { SIGN: 0x02, VERIFY: 0x80 } as const;
/** Values of tag `80`. */
export const KEY_TYPE = { PRIVATE: 0xb1, PUBLIC: 0xb0 } as const;
/** Curve number of secp256k1, in DGI `00B9` and in certificates. */
export const CURVE_SECP256K1 = 0x21;

/** Persistent states. Section 3. */
export const LIFE_CYCLE = { FABRICATION: 0, PENDING_TESTS: 1, ATTESTED: 2, USER_PERSONALIZED: 3 } as const;
/** One of them. */
export type LifeCycle = typeof LIFE_CYCLE[keyof typeof LIFE_CYCLE];
/** What people call them. */
export const LIFE_CYCLE_NAMES: Readonly<Record<LifeCycle, string>> = {
  0: "fabrication",
  1: "pending tests",
  2: "attested",
  3: "user personalized",
};

/** Transient states, from SELECT on. Section 3. */
export const TRANSIENT = {
  IDLE: 0,
  INITIALIZED: 1,
  PIN_LOCKED: 2,
  AUTHENTICATED: 3,
  PIN_UNLOCKED: 4,
} as const;
/** One of them. */
export type Transient = typeof TRANSIENT[keyof typeof TRANSIENT];
/** What people call them. */
export const TRANSIENT_NAMES: Readonly<Record<Transient, string>> = {
  0: "idle",
  1: "initialized",
  2: "PIN locked",
  3: "authenticated",
  4: "PIN unlocked",
};

/** First byte of signed messages: whose key is signed. Section 5. */
export const ROLE = {
  SIGNER: 0x01,
  HOST_STATIC: 0x02,
  HOST_EPHEMERAL: 0x12,
  CARD: 0x0a,
} as const;

/** Tags of the card's static certificate. Section 5.1. */
export const CERTIFICATE_TAG = {
  STRUCTURE_TYPE: 0x01,
  VERSION: 0x02,
  SIGNATURE_ALGORITHM: 0x14,
  SIGNATURE: 0x15,
  TRUSTED_NAME: 0x20,
  PUBLIC_KEY_USAGE: 0x31,
  CURVE: 0x32,
  PUBLIC_KEY: 0x33,
  TARGET_DEVICE: 0x35,
} as const;
/** Longest card certificate, in bytes: one wrapped command at level `33`. */
export const CARD_CERTIFICATE_MAX = 239;
