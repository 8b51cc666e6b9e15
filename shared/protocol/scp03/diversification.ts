/**
 * KDF3: a card's static keys from a master key, by AES-CMAC alone, so that the master stays in an HSM.
 * Each key is CMAC(master, i || 000000 kk || 00 || KDD) for i = 1, 2 ..., cut to its length; kk is 1 for ENC,
 * 2 for MAC, 3 for DEK.
 */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { AES_KEY_LENGTHS } from "../../crypto/aes.ts";
import type { StaticKeys } from "./keys.ts";
import "./errors.ts";

/** Length of the key diversification data in an INITIALIZE UPDATE answer, in bytes. */
export const KEY_DIVERSIFICATION_DATA_LENGTH = 10;

/** Messages for the HSM's CMAC, in order, for each of the three keys. */
export interface DiversificationInputs {
  readonly enc: Uint8Array[];
  readonly mac: Uint8Array[];
  readonly dek: Uint8Array[];
}

const KEY_NUMBER = { enc: 1, mac: 2, dek: 3 } as const;
const BLOCK = 16;

/**
 * CMAC messages of one card.
 * @param kdd key diversification data, 10 bytes.
 * @param keyLengthBytes 16, 24 or 32.
 * @throws {CodedError} `SCP03_KEY_LENGTH`, `SCP03_CHALLENGE_LENGTH` for a KDD of another length.
 */
export function diversificationInputs(kdd: Uint8Array, keyLengthBytes: number): DiversificationInputs {
  if (!AES_KEY_LENGTHS.includes(keyLengthBytes)) {
    throw new CodedError("SCP03_KEY_LENGTH", `Cannot diversify keys of ${keyLengthBytes} bytes`);
  }
  if (kdd.length !== KEY_DIVERSIFICATION_DATA_LENGTH) {
    throw new CodedError(
      "SCP03_CHALLENGE_LENGTH",
      `Cannot diversify keys: KDD of ${kdd.length} bytes, not 10`,
    );
  }
  const inputs = (kind: keyof typeof KEY_NUMBER) =>
    Array.from(
      { length: Math.ceil(keyLengthBytes / BLOCK) },
      (_, i) => concat(Uint8Array.of(i + 1, 0x00, 0x00, 0x00, KEY_NUMBER[kind], 0x00), kdd),
    );
  return { enc: inputs("enc"), mac: inputs("mac"), dek: inputs("dek") };
}

/**
 * A card's static keys.
 * @param masterCmac AES-CMAC (16 bytes) under the master key, normally inside an HSM.
 * @param kdd key diversification data from the card's INITIALIZE UPDATE answer, 10 bytes.
 * @param keyLengthBytes 16, 24 or 32: normally the length of the master key.
 * @throws {CodedError} as `diversificationInputs`, and whatever `masterCmac` throws.
 */
export async function diversifyKdf3(
  masterCmac: (input: Uint8Array) => Promise<Uint8Array>,
  kdd: Uint8Array,
  keyLengthBytes: number,
): Promise<StaticKeys> {
  const inputs = diversificationInputs(kdd, keyLengthBytes);
  const derive = async (messages: Uint8Array[]) => {
    const blocks = await Promise.all(messages.map(masterCmac));
    const joined = concat(...blocks);
    for (const block of blocks) block.fill(0);
    const key = joined.slice(0, keyLengthBytes);
    joined.fill(0);
    return new Secret(key);
  };
  const [enc, mac, dek] = await Promise.all([derive(inputs.enc), derive(inputs.mac), derive(inputs.dek)]);
  return { enc, mac, dek };
}
