/** Names of commands and values for people. */

import { toHex } from "shared/base/bytes.ts";
import {
  APPLICATION_LIFE_CYCLE,
  CARD_LIFE_CYCLE,
  cardLifeCycleName,
  hasPrivilege,
  PRIVILEGE,
  SECURITY_DOMAIN_LIFE_CYCLE,
} from "shared/protocol/gp/constants.ts";
import { decodePrivileges } from "shared/protocol/gp/privileges.ts";
import { CodedError } from "shared/base/errors.ts";
import { fromHex } from "shared/base/bytes.ts";
import "./errors.ts";

const COMMANDS: ReadonlyMap<number, string> = new Map([
  [0x50, "INITIALIZE UPDATE"],
  [0x82, "EXTERNAL AUTHENTICATE"],
  [0xa4, "SELECT"],
  [0xc0, "GET RESPONSE"],
  [0xca, "GET DATA"],
  [0xcb, "GET DATA"],
  [0xd8, "PUT KEY"],
  [0xe2, "STORE DATA"],
  [0xe4, "DELETE"],
  [0xe6, "INSTALL"],
  [0xe8, "LOAD"],
  [0xea, "MANAGE ELF UPGRADE"],
  [0xf0, "SET STATUS"],
  [0xf2, "GET STATUS"],
  [0x20, "VERIFY"],
  [0x24, "CHANGE REFERENCE DATA"],
  [0x70, "MANAGE CHANNEL"],
]);

/** Name of a command by its INS byte. */
export function commandName(ins: number): string {
  return COMMANDS.get(ins) ?? `INS ${hexByte(ins)}`;
}

/** Two hex digits. */
export function hexByte(value: number): string {
  return value.toString(16).toUpperCase().padStart(2, "0");
}

/** Names of privileges, or an empty list. */
export function privilegeNames(privileges: number): string[] {
  return Object.entries(PRIVILEGE).filter(([, bits]) => hasPrivilege(privileges, bits)).map(([name]) => name);
}

/**
 * Reads privileges: names joined by commas, or 1 or 3 bytes in hex.
 * @throws {CodedError} `CARDTOOL_USAGE`.
 */
export function parsePrivileges(text: string): number {
  if (/^([0-9A-Fa-f]{2}){1}$|^([0-9A-Fa-f]{2}){3}$/.test(text)) return decodePrivileges(fromHex(text));
  let bits = 0;
  for (const word of text.split(",")) {
    const name = word.trim().toUpperCase().replaceAll(/[- ]/g, "_");
    if (!(name in PRIVILEGE)) {
      throw new CodedError(
        "CARDTOOL_USAGE",
        `Cannot use privilege ${word}: there are ${Object.keys(PRIVILEGE).join(", ")}`,
      );
    }
    bits |= PRIVILEGE[name as keyof typeof PRIVILEGE];
  }
  return bits;
}

/** Kinds of registry entry, which share numbers of life cycles but not their meaning. */
export type EntryKind = "issuer-domain" | "domain" | "application" | "package";

/** Word for a life cycle. */
export function lifeCycleWord(kind: EntryKind, value: number): string {
  if (kind === "issuer-domain") return cardLifeCycleName(value);
  if (kind === "package") return value === 0x01 ? "LOADED" : hexByte(value);
  const locked = (value & 0x80) !== 0;
  const base = value & 0x7f;
  const word = base === APPLICATION_LIFE_CYCLE.INSTALLED
    ? "INSTALLED"
    : base === APPLICATION_LIFE_CYCLE.SELECTABLE
    ? "SELECTABLE"
    : kind === "domain" && base === SECURITY_DOMAIN_LIFE_CYCLE.PERSONALIZED
    ? "PERSONALIZED"
    : `SPECIFIC ${hexByte(base)}`;
  return locked ? `LOCKED (${word})` : word;
}

/** Whether the card accepts a lock: GPC 2.3.1, figure 5-1. */
export function cardCanBeLocked(lifeCycle: number): boolean {
  return lifeCycle === CARD_LIFE_CYCLE.SECURED;
}

/** `3.1` from the two bytes of a package version. */
export function versionWord(version: Uint8Array | undefined): string | null {
  if (version === undefined) return null;
  return version.length === 2 ? `${version[0]}.${version[1]}` : toHex(version);
}

/** Names of key types. GPC 2.3.1, 11.1.8. */
const KEY_TYPES: ReadonlyMap<number, string> = new Map([
  [0x80, "DES"],
  [0x81, "DES"],
  [0x82, "3DES"],
  [0x88, "AES"],
  [0x90, "HMAC-SHA1"],
  [0x91, "HMAC-SHA1-160"],
  [0xa0, "RSA public e"],
  [0xa1, "RSA public N"],
  [0xb0, "ECC public"],
  [0xb1, "ECC private"],
  [0xf0, "ECC parameters"],
]);

/** Name of a key type. */
export function keyTypeWord(type: number): string {
  return KEY_TYPES.get(type) ?? `type ${hexByte(type)}`;
}
