/**
 * MANAGE ELF UPGRADE: a loaded package is replaced by a newer one and its applications keep their data.
 * GPC 2.3, Amendment H ("Executable Load File Upgrade"); spec/card.md, section 8. It needs a session with C-MAC.
 */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { type BerTlv, encodeBer, optionalBer, parseBer, requireBer } from "../tlv/ber.ts";
import { checkAid, isAid, lengthValue } from "./aid.ts";
import { CLA_GP, INS_MANAGE_ELF_UPGRADE } from "./constants.ts";

/** Security domain that may upgrade, on the cards of this product (8). Card page, section 1. */
export const DEFAULT_UPGRADE_DOMAIN_AID_HEX = "A000000151555047";
/** Version of its key set: AES-256, diversified for each card from the factory's upgrade master by KDF3. */
export const UPGRADE_KEY_VERSION = 0x40;

/** P1: what is done with the upgrade session. */
export const UPGRADE_P1 = {
  /** Opens a session: saving, cleanup and deletion of the old package. */
  START: 0x01,
  /** Goes on with the phase that was interrupted, or with what waits. */
  RESUME: 0x02,
  /** Takes the new package away again; the session's old package may be loaded instead. */
  RECOVERY: 0x03,
  /** Ends the session; only before the old package is deleted. */
  ABORT: 0x04,
  /** Asks where the session is. */
  STATUS: 0x08,
} as const;
/** One of `UPGRADE_P1`. */
export type UpgradeP1 = (typeof UPGRADE_P1)[keyof typeof UPGRADE_P1];

/** Where an upgrade session is: value of tag 90 (1 byte). */
export const UPGRADE_STATUS = {
  /** No session was ever opened, or the last one was aborted. */
  "none": 0x00,
  /** The last session reached its end: the new package is in use. */
  "completed": 0x01,
  /** The old package is gone: the next step is INSTALL [for load] and LOAD. */
  "waiting-for-elf": 0x02,
  /** The package is loaded: the next step is resume. */
  "waiting-for-restore": 0x03,
  /** The package refused the saved data: the next step is recovery, or resume to try it again. */
  "restore-failed": 0x04,
  /** Power was lost while applications gave their data; nothing is deleted. */
  "interrupted-saving": 0x10,
  /** Power was lost after saving, before deletion. */
  "interrupted-cleanup": 0x20,
  /** Power was lost while the old package was deleted. */
  "interrupted-delete": 0x30,
  /** Power was lost while the applications were installed from the new package. */
  "interrupted-install": 0x40,
  /** Power was lost while the applications took their data back. */
  "interrupted-restore": 0x50,
  /** Power was lost after the data were back, before the session was closed. */
  "interrupted-consolidate": 0x60,
} as const;
/** Name of a session status. */
export type UpgradeStatusName = keyof typeof UPGRADE_STATUS;

/** Tags of command and answer. */
export const UPGRADE_TAG = { SESSION: 0xa1, PACKAGE_AID: 0x4f, OPTIONS: 0x80, STATUS: 0x90 } as const;

/** What every form of the command may say. */
export interface ManageUpgradeOptions {
  /** Class byte; default `80`. SCP03 sets its own bit when it wraps. */
  readonly cla?: number;
}

function manage(p1: UpgradeP1, options: ManageUpgradeOptions, data?: Uint8Array): CommandApdu {
  return command(options.cla ?? CLA_GP, INS_MANAGE_ELF_UPGRADE, p1, 0, data);
}

/**
 * P1 01: opens a session for a package.
 * @param packageAid package to be replaced (5 to 16).
 * @param options.upgradeOptions value of tag 80 (1 byte); default 00.
 * @throws {CodedError} `GP_AID`.
 */
export function startUpgrade(
  packageAid: Uint8Array,
  options: ManageUpgradeOptions & { readonly upgradeOptions?: number } = {},
): CommandApdu {
  const session = encodeBer(
    UPGRADE_TAG.SESSION,
    encodeBer(UPGRADE_TAG.PACKAGE_AID, checkAid(packageAid)),
    encodeBer(UPGRADE_TAG.OPTIONS, Uint8Array.of(options.upgradeOptions ?? 0)),
  );
  return manage(UPGRADE_P1.START, options, session);
}

/** P1 02: goes on with the session. */
export function resumeUpgrade(options: ManageUpgradeOptions = {}): CommandApdu {
  return manage(UPGRADE_P1.RESUME, options);
}

/** P1 03: back to waiting for a package, the session's old one being allowed too. */
export function recoverUpgrade(options: ManageUpgradeOptions = {}): CommandApdu {
  return manage(UPGRADE_P1.RECOVERY, options);
}

/** P1 04: gives the session up, before deletion. */
export function abortUpgrade(options: ManageUpgradeOptions = {}): CommandApdu {
  return manage(UPGRADE_P1.ABORT, options);
}

/** P1 08: asks for the status; changes nothing. */
export function upgradeStatus(options: ManageUpgradeOptions = {}): CommandApdu {
  return manage(UPGRADE_P1.STATUS, options);
}

/** What the card says after each form of the command. */
export interface UpgradeSession {
  readonly status: UpgradeStatusName;
  /** Package of the session (5 to 16); absent when there is none. */
  readonly packageAid?: Uint8Array;
}

/** Whether a session is open: its application cannot be selected, and only this session goes on. */
export function isUpgradeOpen(status: UpgradeStatusName): boolean {
  return status !== "none" && status !== "completed";
}

function malformed(what: string): CodedError {
  return new CodedError("GP_ANSWER", `Cannot read MANAGE ELF UPGRADE answer: ${what}`);
}

/** One field with a length byte, at an offset. */
function field(data: Uint8Array, offset: number): Uint8Array {
  const length = data[offset];
  if (length === undefined || offset + 1 + length > data.length) throw malformed("a field ends early");
  return data.subarray(offset + 1, offset + 1 + length);
}

/**
 * Reads the answer's data: a confirmation with its length (1, and 0 to 255; not interpreted), then the session
 * with its length (1): `A1 { 90 status (1), 4F package AID }`.
 * @throws {CodedError} `GP_ANSWER`.
 */
export function parseUpgradeAnswer(data: Uint8Array): UpgradeSession {
  const confirmation = field(data, 0);
  const session = field(data, 1 + confirmation.length);
  if (2 + confirmation.length + session.length !== data.length) throw malformed("bytes follow the session");
  let status: Uint8Array;
  let aid: BerTlv | undefined;
  try {
    const elements = parseBer(session);
    if (elements.length !== 1) throw malformed("the session is not one element");
    const parts = requireBer(elements, UPGRADE_TAG.SESSION).children();
    status = requireBer(parts, UPGRADE_TAG.STATUS).value;
    aid = optionalBer(parts, UPGRADE_TAG.PACKAGE_AID);
  } catch (error) {
    if (error instanceof CodedError && error.code === "GP_ANSWER") throw error;
    throw malformed("the session is not A1 with status and AID");
  }
  const name = (Object.keys(UPGRADE_STATUS) as UpgradeStatusName[])
    .find((one) => UPGRADE_STATUS[one] === status[0]);
  if (status.length !== 1 || name === undefined) throw malformed("the status is none of Amendment H");
  // Some cards name no package by an empty 4F.
  if (aid === undefined || aid.value.length === 0) return { status: name };
  if (!isAid(aid.value)) throw malformed(`an AID of ${aid.value.length} bytes`);
  return { status: name, packageAid: aid.value.slice() };
}

/** Writes the answer's data: no confirmation, then the session. @throws {CodedError} `GP_AID`. */
export function encodeUpgradeAnswer(session: UpgradeSession): Uint8Array {
  const { packageAid } = session;
  const element = encodeBer(
    UPGRADE_TAG.SESSION,
    encodeBer(UPGRADE_TAG.STATUS, Uint8Array.of(UPGRADE_STATUS[session.status])),
    packageAid === undefined ? new Uint8Array(0) : encodeBer(UPGRADE_TAG.PACKAGE_AID, checkAid(packageAid)),
  );
  return concat(Uint8Array.of(0), lengthValue(element));
}

/** What a MANAGE ELF UPGRADE asks for. */
export interface ManageUpgrade {
  readonly p1: UpgradeP1;
  /** Package named by the command; start always names one. */
  readonly packageAid?: Uint8Array;
}

/**
 * The card's reading of the command. Options are read over: this reader's cards act on none.
 * @returns undefined when P1 or P2 is none of this command (6A86).
 * @throws {CodedError} `GP_COMMAND`, `TLV_*` (6A80).
 */
export function parseManageUpgrade(apdu: CommandApdu): ManageUpgrade | undefined {
  const p1 = Object.values(UPGRADE_P1).find((value) => value === apdu.p1);
  if (p1 === undefined || apdu.p2 !== 0) return undefined;
  if (apdu.data.length === 0 && p1 !== UPGRADE_P1.START) return { p1 };
  const elements = parseBer(apdu.data);
  const parts = requireBer(elements, UPGRADE_TAG.SESSION).children();
  const aid = requireBer(parts, UPGRADE_TAG.PACKAGE_AID).value;
  const options = optionalBer(parts, UPGRADE_TAG.OPTIONS)?.value;
  const known = parts.length === (options === undefined ? 1 : 2);
  if (elements.length !== 1 || !known || !isAid(aid) || (options !== undefined && options.length !== 1)) {
    throw new CodedError("GP_COMMAND", "Cannot read MANAGE ELF UPGRADE: its data are not A1 { 4F, 80 }");
  }
  return { p1, packageAid: aid.slice() };
}
