/** Identifiers and encodings of the card itself, as recorded. Spec: card page, sections 1 and 2. */

import { fromHex } from "shared/base/bytes.ts";
import { DEFAULT_UPGRADE_DOMAIN_AID_HEX } from "shared/protocol/gp/manage_elf_upgrade.ts";

/** Issuer Security Domain. */
export const ISD_AID = fromHex("A000000151000000");
/** Package of every security domain; in ROM, so it is never listed. */
export const SSD_PACKAGE_AID = fromHex("A0000001515350");
/** Module of a security domain. */
export const SSD_MODULE_AID = fromHex("A000000151535041");
/** Default instance AID of the Supplementary Security Domain. */
export const SSD_AID = fromHex("5353445F4C4544474552");
/** Package of the Recovery Key applet. */
export const RECOVERY_KEY_PACKAGE_AID = fromHex("A0000000624C4544474552303100");
/** Module, and default instance AID, of the Recovery Key applet. */
export const RECOVERY_KEY_MODULE_AID = fromHex("A0000000624C45444745523031");

/** Privileges of the ISD (3 bytes), as recorded in GET STATUS. */
export const ISD_PRIVILEGES = fromHex("9EFE80");
/** Privileges of the SSD: Security Domain, Trusted Path. GPC 2.3.1, tables 11-7 to 11-9. */
export const SSD_PRIVILEGES = fromHex("808000");
/** Default AID of the domain that may upgrade ("upgrade domain"). */
export const UPGRADE_DOMAIN_AID = fromHex(DEFAULT_UPGRADE_DOMAIN_AID_HEX);
/** Its privileges: Security Domain, Authorized Management. */
export const UPGRADE_DOMAIN_PRIVILEGES = fromHex("804000");
/** Default AID of the domain that checks load files ("SSD_DAP"). */
export const DAP_AID = fromHex("5353445F444150");
/** Its privileges: Security Domain, DAP Verification, Mandated DAP Verification. */
export const DAP_PRIVILEGES = fromHex("C10000");

/** Recognition data inside tag 66, as recorded: GP 2.3, SCP03 with i=70. The last two bytes are SCP and i. */
export const CARD_DATA = fromHex(
  "732F06072A864886FC6B01600C060A2A864886FC6B02020301630906072A864886FC6B03640B06092A864886FC6B040370",
);
/** CPLC (42) of the recorded card; a new card replaces the chip's serial number and batch. */
export const CPLC_TEMPLATE = fromHex(
  "4790D6004700000000000100524947430001481260014812600148126001524947434812600152494743",
);
/** Offset of the chip's serial number (4) and batch (2) in the CPLC. */
export const CPLC_SERIAL_OFFSET = 12;
/** Answer to reset of the P71 with JCOP 4: T=1, historical bytes "not specified". Its check byte is right. */
export const JCOP_ATR = fromHex("3BD518FF8191FE1FC38073C821100A");

/** Life cycle of the card. GPC 2.3.1, table 11-6. */
export const CARD_LIFE_CYCLE = {
  OP_READY: 0x01,
  INITIALIZED: 0x07,
  SECURED: 0x0f,
  LOCKED: 0x7f,
  TERMINATED: 0xff,
} as const;
/** Name of a card life cycle. */
export type CardLifeCycleName = keyof typeof CARD_LIFE_CYCLE;

/** Life cycle of a loaded package. GPC 2.3.1, table 11-3. */
export const PACKAGE_LOADED = 0x01;
/** Life cycle of an application that is installed and not selectable. Table 11-4. */
export const APPLICATION_INSTALLED = 0x03;
/** Life cycle of a selectable application. */
export const APPLICATION_SELECTABLE = 0x07;
/** Bit of the life cycle of an application or domain that is locked. Tables 11-4 and 11-5. */
export const LOCKED_BIT = 0x80;
/** Life cycle of a security domain that has its own keys. Table 11-5. */
export const DOMAIN_PERSONALIZED = 0x0f;

/** `i` bit: 16-byte challenges, cryptograms and MACs. Amendment D, table 5-1. */
export const SCP03_I_S16 = 0x01;
/** `i` bit: pseudo-random card challenge and sequence counter. */
export const SCP03_I_PSEUDO_RANDOM = 0x10;
/** `i` bit: R-MAC. */
export const SCP03_I_RMAC = 0x20;
/** `i` bit: R-ENC. */
export const SCP03_I_RENC = 0x40;
