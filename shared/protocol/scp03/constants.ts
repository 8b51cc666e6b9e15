/** Names and numbers of SCP03. GPC Amendment D v1.1.2 (`Amd D` below). */

import { layout } from "../../base/layout.ts";

/** INITIALIZE UPDATE. Amd D, 7.1.1. */
export const INS_INITIALIZE_UPDATE = 0x50;
/** EXTERNAL AUTHENTICATE. Amd D, 7.1.2. */
export const INS_EXTERNAL_AUTHENTICATE = 0x82;
/** Class of INITIALIZE UPDATE. */
export const CLA_PLAIN = 0x80;
/** Class of commands under secure messaging, and always the one under the C-MAC of EXTERNAL AUTHENTICATE. */
export const CLA_SECURE = 0x84;
/** Bit of CLA that says secure messaging. GPC 2.3.1, 11.1.4. */
export const CLA_SECURE_BIT = 0x04;
/** Bits of CLA that hold logical channels 0 to 3; the C-MAC is over channel 0. Amd D, 6.2.4. */
export const CLA_CHANNEL_BITS = 0x03;
/** Bit of CLA for logical channels 4 to 19, which are not spoken here. */
export const CLA_FURTHER_CHANNELS_BIT = 0x40;

/** SCP identifier in the key information. */
export const SCP_ID = 0x03;

/** Bits of the `i` parameter. Amd D, 5.1. */
export const I_S16 = 0x01;
/** The card's challenge is derived from its sequence counter, which follows in the answer. */
export const I_PSEUDO_RANDOM = 0x10;
/** R-MAC is supported. */
export const I_RMAC = 0x20;
/** R-ENC is supported. */
export const I_RENC = 0x40;

/** Bits of a security level. */
export const LEVEL_CMAC = 0x01;
/** Command data is encrypted. */
export const LEVEL_CENC = 0x02;
/** Answers carry a MAC. */
export const LEVEL_RMAC = 0x10;
/** Answer data is encrypted. */
export const LEVEL_RENC = 0x20;

/** Security levels that exist. Amd D, table 7-4. */
export const SECURITY_LEVELS = [0x00, 0x01, 0x03, 0x11, 0x13, 0x33] as const;
/** One of them. */
export type SecurityLevel = typeof SECURITY_LEVELS[number];

/** Whether a byte is a security level. */
export function isSecurityLevel(level: number): level is SecurityLevel {
  return (SECURITY_LEVELS as readonly number[]).includes(level);
}

/** Length of challenges, cryptograms and MACs: 8 bytes (S8) or 16 (S16). */
export type Scp03Mode = "S8" | "S16";
/** That length in bytes. */
export const MODE_LENGTH: Readonly<Record<Scp03Mode, 8 | 16>> = { S8: 8, S16: 16 };

/** Derivation constants. Amd D, table 4-1. */
export const DERIVATION = {
  CARD_CRYPTOGRAM: 0x00,
  HOST_CRYPTOGRAM: 0x01,
  CARD_CHALLENGE: 0x02,
  S_ENC: 0x04,
  S_MAC: 0x06,
  S_RMAC: 0x07,
} as const;

/** Length of the sequence counter, in bytes. */
export const SEQUENCE_COUNTER_LENGTH = 3;
/** Length of the MAC chaining value, in bytes. */
export const CHAINING_LENGTH = 16;
/** Longest data field of a wrapped command or answer, in bytes: sessions speak short APDUs. */
export const WRAPPED_DATA_MAX = 255;

const HEAD = { keyDiversificationData: 10, keyInformation: 3 } as const;

/** INITIALIZE UPDATE answer, S8, random challenge. Amd D, table 7-2. */
export const INITIALIZE_UPDATE_S8 = layout(29, { ...HEAD, cardChallenge: 8, cardCryptogram: 8 });
/** INITIALIZE UPDATE answer, S8, pseudo-random challenge. Amd D, table 7-2. */
export const INITIALIZE_UPDATE_S8_COUNTER = layout(32, {
  ...HEAD,
  cardChallenge: 8,
  cardCryptogram: 8,
  sequenceCounter: SEQUENCE_COUNTER_LENGTH,
});
/** INITIALIZE UPDATE answer, S16, random challenge. Amd D, table 7-2. */
export const INITIALIZE_UPDATE_S16 = layout(45, { ...HEAD, cardChallenge: 16, cardCryptogram: 16 });
/** INITIALIZE UPDATE answer, S16, pseudo-random challenge. Amd D, table 7-2. */
export const INITIALIZE_UPDATE_S16_COUNTER = layout(48, {
  ...HEAD,
  cardChallenge: 16,
  cardCryptogram: 16,
  sequenceCounter: SEQUENCE_COUNTER_LENGTH,
});
