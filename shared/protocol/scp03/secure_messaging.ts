/** What both ends of an SCP03 session compute: counter blocks, data fields, chained MACs. Amd D, 6.2.4 to 6.2.7. */

import { CodedError } from "../../base/errors.ts";
import type { Secret } from "../../base/secret.ts";
import { AES_BLOCK, aesCbcDecrypt, aesCbcEncrypt, aesCmac, aesEcbEncryptBlock } from "../../crypto/aes.ts";
import type { CommandApdu } from "../apdu/command.ts";
import {
  CHAINING_LENGTH,
  CLA_CHANNEL_BITS,
  CLA_FURTHER_CHANNELS_BIT,
  CLA_SECURE_BIT,
  WRAPPED_DATA_MAX,
} from "./constants.ts";
import "./errors.ts";

/** Which way a data field travels: the answer's counter block begins with `80`. Amd D, 6.2.6 and 6.2.7. */
export type Direction = "command" | "response";

const FIRST_BYTE: Readonly<Record<Direction, number>> = { command: 0x00, response: 0x80 };
const ZERO_IV: Uint8Array = new Uint8Array(AES_BLOCK);
const HEADER_LENGTH = 5;

function writeCounterBlock(block: Uint8Array, counter: number, direction: Direction): void {
  new DataView(block.buffer, block.byteOffset).setUint32(AES_BLOCK - 4, counter);
  block[0] = FIRST_BYTE[direction];
}

/**
 * Pads and encrypts a data field of at least one byte.
 * @param counter the session's command counter, 1 for the first command.
 */
export function encryptField(
  sEnc: Secret,
  counter: number,
  direction: Direction,
  plain: Uint8Array,
): Uint8Array {
  // One CBC run: with a zero IV the block before the data becomes its ICV, AES(S-ENC, counter block).
  const input = new Uint8Array(AES_BLOCK + plain.length + AES_BLOCK - plain.length % AES_BLOCK);
  writeCounterBlock(input, counter, direction);
  input.set(plain, AES_BLOCK);
  input[AES_BLOCK + plain.length] = 0x80;
  const encrypted = aesCbcEncrypt(sEnc.reveal(), ZERO_IV, input);
  input.fill(0);
  return encrypted.subarray(AES_BLOCK);
}

/** Inverse of `encryptField`, padding left on: the caller removes it. @throws {CodedError} `CRYPTO_LENGTH`. */
export function decryptField(
  sEnc: Secret,
  counter: number,
  direction: Direction,
  encrypted: Uint8Array,
): Uint8Array {
  const block = new Uint8Array(AES_BLOCK);
  writeCounterBlock(block, counter, direction);
  return aesCbcDecrypt(sEnc.reveal(), aesEcbEncryptBlock(sEnc.reveal(), block), encrypted);
}

/** Length of the longest plain data field, in bytes: 239 at level `33` with S8. */
export function plainDataMax(encrypted: boolean, macLength: number): number {
  const room = WRAPPED_DATA_MAX - macLength;
  return encrypted ? room - room % AES_BLOCK - 1 : room;
}

/**
 * C-MAC over chaining value, header (Lc counts the MAC) and data field as sent. Its 16 bytes are the next
 * chaining value; the first 8 (S8) or all 16 (S16) travel.
 * @param cla the class under the MAC.
 * @see Amd D v1.1.2, 6.2.4.
 */
export function commandMac(
  sMac: Secret,
  chaining: Uint8Array,
  cla: number,
  header: Pick<CommandApdu, "ins" | "p1" | "p2">,
  data: Uint8Array,
  macLength: number,
): Uint8Array {
  const input = new Uint8Array(CHAINING_LENGTH + HEADER_LENGTH + data.length);
  input.set(chaining);
  input[CHAINING_LENGTH] = cla;
  input[CHAINING_LENGTH + 1] = header.ins;
  input[CHAINING_LENGTH + 2] = header.p1;
  input[CHAINING_LENGTH + 3] = header.p2;
  input[CHAINING_LENGTH + 4] = data.length + macLength;
  input.set(data, CHAINING_LENGTH + HEADER_LENGTH);
  return aesCmac(sMac.reveal(), input);
}

/** R-MAC over the command's chaining value, data field as sent, status word. Amd D, 6.2.5. */
export function responseMac(sRmac: Secret, chaining: Uint8Array, data: Uint8Array, sw: number): Uint8Array {
  const input = new Uint8Array(CHAINING_LENGTH + data.length + 2);
  input.set(chaining);
  input.set(data, CHAINING_LENGTH);
  input[input.length - 2] = sw >> 8;
  input[input.length - 1] = sw & 0xff;
  return aesCmac(sRmac.reveal(), input);
}

/**
 * The class with the secure messaging bit.
 * @throws {CodedError} `SCP03_CLASS` for logical channels 4 to 19.
 */
export function secureClass(cla: number): number {
  if ((cla & CLA_FURTHER_CHANNELS_BIT) !== 0) {
    throw new CodedError("SCP03_CLASS", "Cannot wrap command: its class names a logical channel above 3");
  }
  return cla | CLA_SECURE_BIT;
}

/** The class under the MAC: as on the wire, on logical channel 0. Amd D, 6.2.4. */
export function classUnderMac(wireCla: number): number {
  return wireCla & ~CLA_CHANNEL_BITS;
}

/** Whether an answer with this status word and data is one that carries an R-MAC. */
export function carriesRmac(sw: number, hasData: boolean): boolean {
  if (sw === 0x9000) return true;
  // QUIRK(recovery-key): warnings without data (63Cx of VERIFY PIN, c_restore_manage.json) come bare, although
  // Amd D gives warnings an R-MAC. A warning with data (6310 of GET STATUS) has one.
  const sw1 = sw >> 8;
  return hasData && (sw1 === 0x62 || sw1 === 0x63);
}
