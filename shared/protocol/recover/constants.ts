/** Constants of the Recover protocol (spec/recover.md), spelled as there. */

import { fromHex } from "../../base/bytes.ts";

/** Roles in certificates. Section 2. */
export const ROLE = {
  ROOT: 0x01,
  DEVICE_STATIC: 0x02,
  PROVIDER_STATIC: 0x04,
  ORCHESTRATOR_STATIC: 0x05,
  ROOT_EPHEMERAL: 0x11,
  DEVICE_EPHEMERAL: 0x12,
  PROVIDER_EPHEMERAL: 0x14,
  ORCHESTRATOR_EPHEMERAL: 0x15,
} as const;

/** Identifier of the root under which a host certificate is given. */
export const ROOT_ID = { ENROL: 0x00, ENROLLED: 0x01 } as const;

/** Version byte of provider certificates. */
export const PROVIDER_CERTIFICATE_VERSION = 0x01;

/** Outer APDUs. */
export const CLA_RECOVER = 0xe0;
/** Instructions of the outer APDUs. */
export const INS = {
  SEALED: 0x00,
  TARGET: 0x04,
  START: 0x50,
  HOST_CERTIFICATE: 0x51,
  DEVICE_CERTIFICATE: 0x52,
  DONE: 0x53,
} as const;
/** P1 of certificate commands. */
export const P1_CERTIFICATE = { STATIC: 0x00, EPHEMERAL: 0x80 } as const;

/** First byte of what is inside a sealed command. */
export const COMMAND = {
  ENROL_ROOT: 0xd2,
  REMOVE_ROOT: 0xd3,
  CONFIRM_IDENTITY: 0xd4,
  PROVIDER_CERTIFICATE: 0xd5,
  MUTUAL_AUTHENTICATION: 0xd6,
  VALIDATE_HASH: 0xd7,
  GET_SHARE: 0xd8,
  VALIDATE_COMMITMENTS: 0xd9,
  RESTORE: 0xda,
  DELETE: 0xdb,
} as const;
/** Commands whose second byte is P1. */
export const COMMANDS_WITH_P1: readonly number[] = [
  COMMAND.PROVIDER_CERTIFICATE,
  COMMAND.GET_SHARE,
  COMMAND.VALIDATE_COMMITMENTS,
  COMMAND.RESTORE,
];
/** P1 of GET SHARE. */
export const P1_GET_SHARE = { SHARE: 0x00, COMMITMENTS: 0x01, AUXILIARY_POINT: 0x10 } as const;
/** P1 of VALIDATE COMMITMENTS. */
export const P1_VALIDATE = { COMMITMENTS: 0x02, HASH: 0x03, SHARE_COMMITMENT: 0x04 } as const;

/** Lengths in bytes. */
export const LENGTH = {
  NONCE: 8,
  TARGET_ID: 4,
  BACKUP_ID: 16,
  CHANNEL_KEY: 32,
  SIV_TAG: 16,
  SCALAR: 48,
  POINT: 96,
  SHARE: 96,
  COMMITMENTS: 192,
  DELETE_NONCE: 16,
  IDENTITY_TEXTS_MAX: 195,
  PROVIDER_NAME_MAX: 95,
} as const;

/** Flow byte of identity data. Section 4. */
export const IDENTITY_FLOW = { BACKUP_OR_RESTORE: 0x00, DELETE: 0x01 } as const;

/** What the device shows and the provider reads in the answer to VALIDATE HASH of a restore. */
export const CONFIRM_RESTORE = "Confirm restore";

/** Number of providers, and of shares that restore. */
export const PROVIDERS = 3;
/** Shares that restore a secret. */
export const THRESHOLD = 2;

/** The auxiliary point Q as x || y (96). Nobody knows its logarithm: x is a hash of a text. Section 3. */
export const AUXILIARY_POINT: Uint8Array = fromHex(
  "FBFC7B98C353A92621854E13D1EFBCF1385601A5CE14F5B64EB722DDC52B5690F302663F904679847FC5114DCC7D94ED" +
    "3B59569D2791C3A8E1BC8C32B5C0E537D1A4A95F0C3B16C493E5D69FEC29EAD4C95F7ED6B9C561A856A7B83D980F1CD8",
);

/** Entropy length in bytes by number of words, and the byte that stands for it. Section 2, D8 and DA. */
export const WORDS: ReadonlyMap<number, number> = new Map([[12, 16], [18, 24], [24, 32]]);
