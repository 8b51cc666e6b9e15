/** The answer to the applet's GET STATUS. Spec/card.md, section 4. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { encodeSimple, parseSimple, type SimpleTlv } from "../tlv/simple.ts";
import {
  CARD_SERIAL_LENGTH,
  LIFE_CYCLE_NAMES,
  type LifeCycle,
  TARGET_ID_LENGTH,
  type Transient,
  TRANSIENT_NAMES,
} from "./constants.ts";
import { requireLength } from "./length_prefixed.ts";
import "./errors.ts";

/** What the applet says about itself. */
export interface AppletStatus {
  /** 4 bytes. */
  readonly targetId: Uint8Array;
  /** 4 bytes, zeros before personalization. */
  readonly serial: Uint8Array;
  readonly version: { readonly major: number; readonly minor: number; readonly patch: number };
  readonly lifeCycle: LifeCycle;
  readonly transient: Transient;
  /**
   * What applet 1.1 and later claim (tag 06): SHA-256 (32) of the installed package's load file data block, the value that the
   * published release names. Nobody but the card vouches for it. Absent before 1.1.
   */
  readonly packageHash?: Uint8Array;
}

const TAGS = [
  { tag: 0x01, length: TARGET_ID_LENGTH },
  { tag: 0x02, length: CARD_SERIAL_LENGTH },
  { tag: 0x03, length: 3 },
  { tag: 0x04, length: 1 },
  { tag: 0x05, length: 1 },
] as const;
const STATUS_LENGTH = TAGS.reduce((sum, { length }) => sum + 2 + length, 0);
/** Length of the claimed hash, in bytes. */
export const PACKAGE_HASH_LENGTH = 32;
const TAG_PACKAGE_HASH = 0x06;
const WITH_HASH_LENGTH = STATUS_LENGTH + 2 + PACKAGE_HASH_LENGTH;
/** Lengths of the elements together, without and with the hash. */
const LENGTHS: readonly number[] = [STATUS_LENGTH, WITH_HASH_LENGTH];

/**
 * Reads the answer's data field.
 * @throws {CodedError} `RK_MALFORMED` unless it is the five elements in order, each with its length, and at most the hash behind them.
 */
export function parseStatus(data: Uint8Array): AppletStatus {
  // QUIRK(recovery-key): without R-MAC the data ends in a literal 9000 (a_personalization.json, GET STATUS without
  // secure channel).
  const literal = LENGTHS.includes(data.length - 2) && data.at(-2) === 0x90 && data.at(-1) === 0;
  const length = literal ? data.length - 2 : data.length;
  const malformed = () =>
    new CodedError("RK_MALFORMED", `Cannot read GET STATUS answer: ${data.length} bytes`);
  if (!LENGTHS.includes(length)) throw malformed();
  let elements: SimpleTlv[];
  try {
    elements = parseSimple(data.subarray(0, length));
  } catch {
    throw malformed();
  }
  const hash = length === WITH_HASH_LENGTH ? elements[TAGS.length] : undefined;
  const hashMatches = hash === undefined
    ? elements.length === TAGS.length
    : elements.length === TAGS.length + 1 && hash.tag === TAG_PACKAGE_HASH &&
      hash.value.length === PACKAGE_HASH_LENGTH;
  const matches = hashMatches &&
    TAGS.every(({ tag, length }, i) => elements[i]!.tag === tag && elements[i]!.value.length === length);
  if (!matches) throw malformed();
  const [targetId, serial, version, lifeCycle, transient] = elements.map(({ value }) => value) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  if (!(lifeCycle[0]! in LIFE_CYCLE_NAMES) || !(transient[0]! in TRANSIENT_NAMES)) throw malformed();
  return {
    targetId,
    serial,
    version: { major: version[0]!, minor: version[1]!, patch: version[2]! },
    lifeCycle: lifeCycle[0] as LifeCycle,
    transient: transient[0] as Transient,
    ...(hash === undefined ? {} : { packageHash: hash.value.slice() }),
  };
}

/** Writes the data field, without the literal `9000`. @throws {CodedError} `RK_FIELD`. */
export function encodeStatus(status: AppletStatus): Uint8Array {
  const { major, minor, patch } = status.version;
  const { packageHash } = status;
  return concat(
    encodeSimple(0x01, requireLength("target ID", status.targetId, TARGET_ID_LENGTH)),
    encodeSimple(0x02, requireLength("card serial", status.serial, CARD_SERIAL_LENGTH)),
    encodeSimple(0x03, Uint8Array.of(major, minor, patch)),
    encodeSimple(0x04, Uint8Array.of(status.lifeCycle)),
    encodeSimple(0x05, Uint8Array.of(status.transient)),
    packageHash === undefined
      ? new Uint8Array(0)
      : encodeSimple(TAG_PACKAGE_HASH, requireLength("package hash", packageHash, PACKAGE_HASH_LENGTH)),
  );
}
