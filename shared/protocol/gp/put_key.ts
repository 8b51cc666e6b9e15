/** PUT KEY for AES key sets, host side. GPC 2.3.1, 11.8; Amd D v1.1.2, 7.2. */

import { concat, equalConstantTime } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import type { Secret } from "../../base/secret.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { KEY_CHECK_VALUE_LENGTH, keyCheckValue } from "../scp03/key_check_value.ts";
import type { StaticKeys } from "../scp03/keys.ts";
import { CLA_GP, INS_PUT_KEY } from "./constants.ts";
import "./errors.ts";

/** Key type AES. GPC 2.3.1, 11.1.8. */
export const KEY_TYPE_AES = 0x88;
/** P2: several keys in one command, the first of them with identifier 1. Section 11.8.2.2. */
export const P2_MULTIPLE_KEYS_FROM_1 = 0x81;
/** P1 when no key is replaced. */
export const PUT_KEY_ADD = 0x00;
/** Lengths of AES keys, in bytes. */
export const AES_KEY_BYTES: readonly number[] = [16, 24, 32];

const AES_BLOCK_BYTES = 16;

/** What is written. */
export interface PutKey {
  /** Version of the new key set, `01` to `7F`. */
  readonly newVersion: number;
  /** Version that it replaces; absent or 0: it is added. */
  readonly replaceVersion?: number;
  readonly keys: StaticKeys;
  /** AES-CBC with the DEK of the session's key set and a zero IV, for whole blocks. */
  readonly encryptWithDek: (data: Uint8Array) => Uint8Array;
  /** Class byte, default `80`. */
  readonly cla?: number;
}

/** Type, length, key length, encrypted key, KCV length, KCV. Amd D v1.1.2, 7.2. */
function keyDataField(key: Secret, encryptWithDek: PutKey["encryptWithDek"]): Uint8Array {
  const length = key.length;
  // AES-192 is padded on the right to whole blocks; the length byte tells how much is key.
  const padded = new Uint8Array(Math.ceil(length / AES_BLOCK_BYTES) * AES_BLOCK_BYTES);
  try {
    padded.set(key.reveal());
    const encrypted = encryptWithDek(padded);
    return concat(
      Uint8Array.of(KEY_TYPE_AES, 1 + encrypted.length, length),
      encrypted,
      Uint8Array.of(KEY_CHECK_VALUE_LENGTH),
      keyCheckValue(key),
    );
  } finally {
    padded.fill(0);
  }
}

/**
 * PUT KEY of ENC, MAC and DEK (identifiers 1, 2, 3) in one command (`80 D8 replaced 81`).
 * @throws {CodedError} `GP_KEY` unless all keys have one length of 16, 24 or 32 bytes and versions are 01 to 7F.
 */
export function putKeyCommand(o: PutKey): CommandApdu {
  const keys = [o.keys.enc, o.keys.mac, o.keys.dek];
  const replaced = o.replaceVersion ?? PUT_KEY_ADD;
  if (!AES_KEY_BYTES.includes(o.keys.enc.length) || keys.some((key) => key.length !== o.keys.enc.length)) {
    throw new CodedError("GP_KEY", "Cannot put keys: they are not three AES keys of one length");
  }
  if (!isVersion(o.newVersion) || (replaced !== PUT_KEY_ADD && !isVersion(replaced))) {
    throw new CodedError("GP_KEY", "Cannot put keys: a key version is not from 01 to 7F");
  }
  return command(
    o.cla ?? CLA_GP,
    INS_PUT_KEY,
    replaced,
    P2_MULTIPLE_KEYS_FROM_1,
    concat(Uint8Array.of(o.newVersion), ...keys.map((key) => keyDataField(key, o.encryptWithDek))),
  );
}

/** Whether a number can be a key version. GPC 2.3.1, 11.8.2.1. */
export function isVersion(version: number): boolean {
  return Number.isInteger(version) && version >= 0x01 && version <= 0x7f;
}

/** The answer to PUT KEY: version, then a KCV for each key. Section 11.8.3.1. */
export function encodePutKeyAnswer(newVersion: number, checkValues: readonly Uint8Array[]): Uint8Array {
  return concat(Uint8Array.of(newVersion), ...checkValues);
}

/**
 * Checks that the card holds what was sent.
 * @throws {CodedError} `GP_KEY_CHECK_VALUE` when version or a check value differs, or one is missing.
 */
export function verifyPutKeyAnswer(data: Uint8Array, newVersion: number, keys: StaticKeys): void {
  const expected = encodePutKeyAnswer(newVersion, [keys.enc, keys.mac, keys.dek].map(keyCheckValue));
  if (!equalConstantTime(data, expected)) {
    throw new CodedError("GP_KEY_CHECK_VALUE", "Cannot trust PUT KEY: the card answers other check values", {
      newVersion,
    });
  }
}
