/** Identity data, and what binds a session to it (spec/recover.md, section 4). */

import { sha256 } from "@noble/hashes/sha2.js";
import { concat, fromUtf8, toUtf8 } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { PUBLIC_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import { IDENTITY_FLOW, LENGTH } from "./constants.ts";
import "./errors.ts";

/** Who owns a backup. Texts are shown on the device as they are. */
export interface Identity {
  readonly backupName: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly dateOfBirth: string;
  readonly placeOfBirth: string;
}

/** Identity data of a session. */
export interface IdentityData extends Identity {
  /** 16 bytes. */
  readonly backupId: Uint8Array;
  readonly flow: (typeof IDENTITY_FLOW)[keyof typeof IDENTITY_FLOW];
}

/** Order of the texts, and the tag before each; the first has none. */
const TEXTS = [
  { field: "backupName", tag: undefined },
  { field: "firstName", tag: 0x20 },
  { field: "lastName", tag: 0x21 },
  { field: "dateOfBirth", tag: 0x22 },
  { field: "placeOfBirth", tag: 0x23 },
] as const satisfies readonly { field: keyof Identity; tag: number | undefined }[];

function textBytes(identity: Identity): Uint8Array[] {
  const texts = TEXTS.map(({ field }) => toUtf8(identity[field]));
  const total = texts.reduce((length, text) => length + text.length, 0);
  if (total > LENGTH.IDENTITY_TEXTS_MAX || texts.some((text) => text.length === 0)) {
    throw new CodedError("RECOVER_IDENTITY", `Cannot use identity: ${total} bytes of text, or an empty one`);
  }
  return texts;
}

/** Identity data as bytes. @throws {CodedError} `RECOVER_IDENTITY`, `RECOVER_FIELD`. */
export function encodeIdentity(data: IdentityData): Uint8Array {
  if (data.backupId.length !== LENGTH.BACKUP_ID) {
    throw new CodedError("RECOVER_FIELD", `Cannot use backup ID: ${data.backupId.length} bytes`);
  }
  const parts = textBytes(data).flatMap((text, i) => {
    const { tag } = TEXTS[i]!;
    return [tag === undefined ? Uint8Array.of(text.length) : Uint8Array.of(tag, text.length), text];
  });
  return concat(data.backupId, ...parts, Uint8Array.of(data.flow));
}

/** Reads identity data. @throws {CodedError} `RECOVER_MALFORMED`, `RECOVER_IDENTITY`. */
export function decodeIdentity(bytes: Uint8Array): IdentityData {
  const malformed = (why: string) => new CodedError("RECOVER_MALFORMED", `Cannot read identity data: ${why}`);
  let offset: number = LENGTH.BACKUP_ID;
  const texts = {} as Record<keyof Identity, string>;
  for (const { field, tag } of TEXTS) {
    if (tag !== undefined && bytes[offset++] !== tag) throw malformed(`no tag of ${field}`);
    const length = bytes[offset++];
    if (length === undefined || offset + length > bytes.length) throw malformed(`${field} is cut off`);
    try {
      texts[field] = fromUtf8(bytes.subarray(offset, offset + length));
    } catch {
      throw malformed(`${field} is not UTF-8`);
    }
    offset += length;
  }
  const flow = bytes[offset];
  if (offset !== bytes.length - 1) throw malformed("it has another length");
  if (flow !== IDENTITY_FLOW.BACKUP_OR_RESTORE && flow !== IDENTITY_FLOW.DELETE) {
    throw malformed("no such flow");
  }
  textBytes(texts);
  return { backupId: bytes.slice(0, LENGTH.BACKUP_ID), flow, ...texts };
}

/** Whether two identities are the same, field by field: their joined texts may be equal although they are not. */
export function sameIdentity(a: Identity, b: Identity): boolean {
  return TEXTS.every(({ field }) => a[field] === b[field]);
}

/**
 * H of one provider's session (32): it binds the provider's ephemeral key, the backup and the identity.
 * @param ephemeral the provider's ephemeral public key (65). @param backupId 16 bytes.
 */
export function identityHash(ephemeral: Uint8Array, backupId: Uint8Array, identity: Identity): Uint8Array {
  if (ephemeral.length !== PUBLIC_KEY_LENGTH || backupId.length !== LENGTH.BACKUP_ID) {
    throw new CodedError("RECOVER_FIELD", "Cannot bind session: a key or an identifier has a wrong length");
  }
  return sha256(concat(ephemeral, backupId, sha256(concat(...textBytes(identity)))));
}
