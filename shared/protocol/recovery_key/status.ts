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
}

const TAGS = [
  { tag: 0x01, length: TARGET_ID_LENGTH },
  { tag: 0x02, length: CARD_SERIAL_LENGTH },
  { tag: 0x03, length: 3 },
  { tag: 0x04, length: 1 },
  { tag: 0x05, length: 1 },
] as const;
const STATUS_LENGTH = TAGS.reduce((sum, { length }) => sum + 2 + length, 0);

/**
 * Reads the answer's data field.
 * @throws {CodedError} `RK_MALFORMED` unless it is the five elements in order, each with its length.
 */
export function parseStatus(data: Uint8Array): AppletStatus {
  // QUIRK(recovery-key): without R-MAC the data ends in a literal 9000 (a_personalization.json, GET STATUS without
  // secure channel).
  const literal = data.length === STATUS_LENGTH + 2 && data[STATUS_LENGTH] === 0x90 &&
    data[STATUS_LENGTH + 1] === 0;
  const malformed = () =>
    new CodedError("RK_MALFORMED", `Cannot read GET STATUS answer: ${data.length} bytes`);
  if (data.length !== STATUS_LENGTH && !literal) throw malformed();
  let elements: SimpleTlv[];
  try {
    elements = parseSimple(data.subarray(0, STATUS_LENGTH));
  } catch {
    throw malformed();
  }
  const matches = elements.length === TAGS.length &&
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
  };
}

/** Writes the data field, without the literal `9000`. @throws {CodedError} `RK_FIELD`. */
export function encodeStatus(status: AppletStatus): Uint8Array {
  const { major, minor, patch } = status.version;
  return concat(
    encodeSimple(0x01, requireLength("target ID", status.targetId, TARGET_ID_LENGTH)),
    encodeSimple(0x02, requireLength("card serial", status.serial, CARD_SERIAL_LENGTH)),
    encodeSimple(0x03, Uint8Array.of(major, minor, patch)),
    encodeSimple(0x04, Uint8Array.of(status.lifeCycle)),
    encodeSimple(0x05, Uint8Array.of(status.transient)),
  );
}
