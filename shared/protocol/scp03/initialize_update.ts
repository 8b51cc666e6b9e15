/** The answer to INITIALIZE UPDATE. Amd D v1.1.2, table 7-2. */

import { CodedError } from "../../base/errors.ts";
import type { Layout } from "../../base/layout.ts";
import {
  I_PSEUDO_RANDOM,
  I_S16,
  INITIALIZE_UPDATE_S16,
  INITIALIZE_UPDATE_S16_COUNTER,
  INITIALIZE_UPDATE_S8,
  INITIALIZE_UPDATE_S8_COUNTER,
  type Scp03Mode,
  SCP_ID,
} from "./constants.ts";
import "./errors.ts";

/** What the card says about itself and its key set. */
export interface InitializeUpdateAnswer {
  /** 10 bytes. */
  readonly keyDiversificationData: Uint8Array;
  readonly keyVersion: number;
  /** `03`. */
  readonly scpId: number;
  /** The `i` parameter. */
  readonly i: number;
  /** 8 bytes (S8) or 16 (S16). */
  readonly cardChallenge: Uint8Array;
  /** As long as the challenge. */
  readonly cardCryptogram: Uint8Array;
  /** 3 bytes, present when the challenge is pseudo-random. */
  readonly sequenceCounter?: Uint8Array;
  readonly s16: boolean;
}

const KEY_INFORMATION_OFFSET = 10;
const HEAD_LENGTH = 13;

/** The four layouts have the same fields; only the S8 and S16 lengths and the counter's presence differ. */
function layoutOf(s16: boolean, counter: boolean): Layout<string> {
  if (s16) return counter ? INITIALIZE_UPDATE_S16_COUNTER : INITIALIZE_UPDATE_S16;
  return counter ? INITIALIZE_UPDATE_S8_COUNTER : INITIALIZE_UPDATE_S8;
}

/**
 * Reads the answer's data field.
 * @param mode what the host asked for; absent: what the card's `i` parameter says.
 * @throws {CodedError} `SCP03_PROTOCOL` for another SCP, `SCP03_MALFORMED` for another length than `i` tells or
 * another mode than asked.
 */
export function parseInitializeUpdate(data: Uint8Array, mode?: Scp03Mode): InitializeUpdateAnswer {
  if (data.length < HEAD_LENGTH) {
    throw new CodedError("SCP03_MALFORMED", `Cannot read INITIALIZE UPDATE answer: ${data.length} bytes`);
  }
  const scpId = data[KEY_INFORMATION_OFFSET + 1]!;
  if (scpId !== SCP_ID) {
    throw new CodedError("SCP03_PROTOCOL", `Cannot open channel: the card offers SCP${scpId}, not SCP03`, {
      scpId,
    });
  }
  const i = data[KEY_INFORMATION_OFFSET + 2]!;
  const s16 = (i & I_S16) !== 0;
  const counter = (i & I_PSEUDO_RANDOM) !== 0;
  const layout = layoutOf(s16, counter);
  if (data.length !== layout.length || (mode !== undefined && (mode === "S16") !== s16)) {
    throw new CodedError(
      "SCP03_MALFORMED",
      `Cannot read INITIALIZE UPDATE answer: ${data.length} bytes, i parameter ${i.toString(16)}`,
    );
  }
  const fields = layout.decode(data);
  return {
    keyDiversificationData: fields.keyDiversificationData!,
    keyVersion: data[KEY_INFORMATION_OFFSET]!,
    scpId,
    i,
    cardChallenge: fields.cardChallenge!,
    cardCryptogram: fields.cardCryptogram!,
    ...(fields.sequenceCounter === undefined ? {} : { sequenceCounter: fields.sequenceCounter }),
    s16,
  };
}

/**
 * Writes the answer's data field: the card's side of `parseInitializeUpdate`.
 * @throws {CodedError} `LAYOUT_LENGTH` when a field does not have the length that `i` tells.
 */
export function encodeInitializeUpdate(answer: Omit<InitializeUpdateAnswer, "s16">): Uint8Array {
  const s16 = (answer.i & I_S16) !== 0;
  const counter = (answer.i & I_PSEUDO_RANDOM) !== 0;
  return layoutOf(s16, counter).encode({
    keyDiversificationData: answer.keyDiversificationData,
    keyInformation: Uint8Array.of(answer.keyVersion, answer.scpId, answer.i),
    cardChallenge: answer.cardChallenge,
    cardCryptogram: answer.cardCryptogram,
    sequenceCounter: answer.sequenceCounter ?? new Uint8Array(0),
  });
}
