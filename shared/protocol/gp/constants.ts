/** Constants of GlobalPlatform Card Specification 2.3.1, chapter 11, spelled as there. */

/** Class byte without secure messaging. Section 11.1.4. */
export const CLA_GP = 0x80;
/** Class byte with secure messaging: what SCP03 makes of `CLA_GP`. */
export const CLA_GP_SECURE = 0x84;

/** SELECT, section 11.9. */
export const INS_SELECT = 0xa4;
/** GET DATA, section 11.3. */
export const INS_GET_DATA = 0xca;
/** PUT KEY, section 11.8. */
export const INS_PUT_KEY = 0xd8;
/** STORE DATA, section 11.11. */
export const INS_STORE_DATA = 0xe2;
/** DELETE, section 11.2. */
export const INS_DELETE = 0xe4;
/** INSTALL, section 11.5. */
export const INS_INSTALL = 0xe6;
/** LOAD, section 11.6. */
export const INS_LOAD = 0xe8;
/** MANAGE ELF UPGRADE. GPC 2.3, Amendment H. */
export const INS_MANAGE_ELF_UPGRADE = 0xea;
/** SET STATUS, section 11.10. */
export const INS_SET_STATUS = 0xf0;
/** GET STATUS, section 11.4. */
export const INS_GET_STATUS = 0xf2;

/** P1 of the last of several commands (LOAD, STORE DATA). */
export const P1_LAST_BLOCK = 0x80;

/** AIDs that the cards of this product use, unless a profile says otherwise. Card page, section 1. */
export const DEFAULT_ISD_AID_HEX = "A000000151000000";

/**
 * Privileges as a number of 24 bits, byte 1 highest. Section 11.1.2.
 * One byte on the wire when only bits of byte 1 are set.
 */
export const PRIVILEGE = {
  SECURITY_DOMAIN: 0x800000,
  DAP_VERIFICATION: 0xc00000,
  DELEGATED_MANAGEMENT: 0xa00000,
  CARD_LOCK: 0x100000,
  CARD_TERMINATE: 0x080000,
  CARD_RESET: 0x040000,
  CVM_MANAGEMENT: 0x020000,
  MANDATED_DAP_VERIFICATION: 0xc10000,
  TRUSTED_PATH: 0x008000,
  AUTHORIZED_MANAGEMENT: 0x004000,
  TOKEN_VERIFICATION: 0x002000,
  GLOBAL_DELETE: 0x001000,
  GLOBAL_LOCK: 0x000800,
  GLOBAL_REGISTRY: 0x000400,
  FINAL_APPLICATION: 0x000200,
  GLOBAL_SERVICE: 0x000100,
  RECEIPT_GENERATION: 0x000080,
  CIPHERED_LOAD_FILE_DATA_BLOCK: 0x000040,
  CONTACTLESS_ACTIVATION: 0x000020,
  CONTACTLESS_SELF_ACTIVATION: 0x000010,
} as const;

/** Whether every bit of a privilege is set. */
export function hasPrivilege(privileges: number, privilege: number): boolean {
  return (privileges & privilege) === privilege;
}

/** Life cycle of the card, which is the Issuer Security Domain's. Section 11.1.1. */
export const CARD_LIFE_CYCLE = {
  OP_READY: 0x01,
  INITIALIZED: 0x07,
  SECURED: 0x0f,
  CARD_LOCKED: 0x7f,
  TERMINATED: 0xff,
} as const;

/** Life cycle of a Security Domain. Section 11.1.1. A locked one has bit 80 added. */
export const SECURITY_DOMAIN_LIFE_CYCLE = {
  INSTALLED: 0x03,
  SELECTABLE: 0x07,
  PERSONALIZED: 0x0f,
  LOCKED: 0x83,
} as const;

/** Life cycle of an application. Section 11.1.1. A locked one has bit 80 added. */
export const APPLICATION_LIFE_CYCLE = { INSTALLED: 0x03, SELECTABLE: 0x07, LOCKED: 0x83 } as const;

/** Life cycle of an Executable Load File. Section 11.1.1. */
export const LOAD_FILE_LIFE_CYCLE = { LOADED: 0x01 } as const;

/** Name of a card life cycle, or its hex digits. */
export function cardLifeCycleName(value: number): string {
  const row = Object.entries(CARD_LIFE_CYCLE).find(([, state]) => state === value);
  return row?.[0] ?? value.toString(16).toUpperCase().padStart(2, "0");
}
