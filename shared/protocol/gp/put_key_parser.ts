/** PUT KEY, card side: AES keys (Amd D v1.1.2, 7.2) and public keys (GPC 2.3.1, 11.8.2.3). */

import { equalConstantTime } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import type { CommandApdu } from "../apdu/command.ts";
import { KEY_CHECK_VALUE_LENGTH, keyCheckValue } from "../scp03/key_check_value.ts";
import { isPublicKeyType, type PublicKey, readPublicKeyField } from "./public_key.ts";
import { AES_KEY_BYTES, encodePutKeyAnswer, isVersion, KEY_TYPE_AES } from "./put_key.ts";

/** Most keys in one command. */
export const PUT_KEYS_MAX = 8;

/** One key as it arrived; the owner wipes it. */
export interface ReceivedKey {
  readonly id: number;
  readonly key: Secret;
  readonly checkValue: Uint8Array;
}

/** Key types of DES: `80`, and `81` to `83` of older cards. GPC 2.3.1, table 11-16. */
const DES_KEY_TYPES: readonly number[] = [0x80, 0x81, 0x82, 0x83];

/** A PUT KEY that the card understood. */
export interface ReceivedKeys {
  /** 0: added. */
  readonly replaceVersion: number;
  readonly newVersion: number;
  /** AES keys. */
  readonly keys: readonly ReceivedKey[];
  readonly publicKeys: readonly { readonly id: number; readonly key: PublicKey }[];
  /** Data of the answer: version and check values. */
  readonly answer: Uint8Array;
}

function malformed(what: string): CodedError {
  return new CodedError("GP_COMMAND", `Cannot read PUT KEY: ${what}`);
}

/** One key data field from an offset. */
function readKey(data: Uint8Array, offset: number, id: number, decrypt: (data: Uint8Array) => Uint8Array) {
  const [type, fieldLength, keyLength] = data.subarray(offset, offset + 3);
  if (type !== undefined && DES_KEY_TYPES.includes(type)) {
    throw new CodedError("GP_KEY", "Cannot read PUT KEY: DES keys are not spoken here");
  }
  if (type !== KEY_TYPE_AES) throw malformed("a key is neither AES nor public");
  if (keyLength === undefined || !AES_KEY_BYTES.includes(keyLength)) {
    throw malformed("a key length is not AES's");
  }
  const encryptedLength = Math.ceil(keyLength / 16) * 16;
  const start = offset + 3;
  const end = start + encryptedLength;
  if (fieldLength !== 1 + encryptedLength || end + 1 + KEY_CHECK_VALUE_LENGTH > data.length) {
    throw malformed("a key's length does not fit");
  }
  if (data[end] !== KEY_CHECK_VALUE_LENGTH) throw malformed("a key has no check value of 3 bytes");
  const checkValue = data.slice(end + 1, end + 1 + KEY_CHECK_VALUE_LENGTH);

  const padded = decrypt(data.slice(start, end));
  const key = new Secret(padded.slice(0, keyLength));
  padded.fill(0);
  if (!equalConstantTime(keyCheckValue(key), checkValue)) {
    key.wipe();
    throw new CodedError("GP_KEY_CHECK_VALUE", "Cannot read PUT KEY: a check value is wrong");
  }
  return { key: { id, key, checkValue }, end: end + 1 + KEY_CHECK_VALUE_LENGTH };
}

/**
 * Reads PUT KEY. Whether versions exist is the caller's to check.
 * @param decrypt AES-CBC with the DEK and a zero IV.
 * @throws {CodedError} `GP_COMMAND` (6A80), `GP_KEY` for DES (9484), `GP_KEY_CHECK_VALUE` (6982, GPC 2.3.1 table
 * 11-78). No key is left unwiped.
 */
export function parsePutKey(apdu: CommandApdu, decrypt: (data: Uint8Array) => Uint8Array): ReceivedKeys {
  const newVersion = apdu.data[0];
  const firstId = apdu.p2 & 0x7f;
  if (newVersion === undefined || !isVersion(newVersion)) throw malformed("its key version is not 01 to 7F");
  if ((apdu.p1 & 0x80) !== 0) throw malformed("it announces further commands, which this card does not join");
  if (firstId === 0) throw malformed("a key identifier is not 01 to 7F");
  const keys: ReceivedKey[] = [];
  const publicKeys: { readonly id: number; readonly key: PublicKey }[] = [];
  let count = 0;
  try {
    for (let offset = 1; offset < apdu.data.length; count++) {
      if (count === PUT_KEYS_MAX) throw malformed(`it has more than ${PUT_KEYS_MAX} keys`);
      const id = firstId + count;
      if (isPublicKeyType(apdu.data[offset]!)) {
        const { key, end } = readPublicKeyField(apdu.data, offset);
        publicKeys.push({ id, key });
        offset = end;
        continue;
      }
      const { key, end } = readKey(apdu.data, offset, id, decrypt);
      keys.push(key);
      offset = end;
    }
    if (count === 0 || (count > 1) !== ((apdu.p2 & 0x80) !== 0)) {
      throw malformed("the number of keys is not what P2 says");
    }
  } catch (error) {
    for (const { key } of keys) key.wipe();
    throw error;
  }
  return {
    replaceVersion: apdu.p1,
    newVersion,
    keys,
    publicKeys,
    answer: encodePutKeyAnswer(newVersion, keys.map((key) => key.checkValue)),
  };
}
