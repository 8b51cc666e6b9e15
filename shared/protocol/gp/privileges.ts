/** Privileges between their number and their 1 or 3 bytes. GPC 2.3.1, 11.1.2. */

import { readUint, writeUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import "./errors.ts";

/**
 * Bytes of a privilege number: 1 byte when byte 2 and 3 are empty, else 3.
 * @throws {CodedError} `GP_PRIVILEGES` beyond 24 bits.
 */
export function encodePrivileges(privileges: number): Uint8Array {
  if (!Number.isInteger(privileges) || privileges < 0 || privileges > 0xffffff) {
    throw new CodedError("GP_PRIVILEGES", "Cannot write privileges: not a number of 24 bits");
  }
  return (privileges & 0xffff) === 0 ? Uint8Array.of(privileges >> 16) : writeUint(privileges, 3);
}

/** Number of 1 or 3 privilege bytes. @throws {CodedError} `GP_PRIVILEGES`. */
export function decodePrivileges(bytes: Uint8Array): number {
  if (bytes.length === 1) return bytes[0]! << 16;
  if (bytes.length === 3) return readUint(bytes);
  throw new CodedError("GP_PRIVILEGES", `Cannot read privileges: ${bytes.length} bytes`);
}

/** A number, or bytes as they shall go on the wire. @throws {CodedError} `GP_PRIVILEGES`. */
export function privilegeBytes(privileges: number | Uint8Array): Uint8Array {
  if (typeof privileges === "number") return encodePrivileges(privileges);
  decodePrivileges(privileges);
  return privileges;
}
