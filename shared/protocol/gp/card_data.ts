/** Card data (tag 66): what card recognition data says of the card. GPC 2.3.1, H.2 and H.3. */

import { concat, equal, fromHex } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { encodeBer, parseBer, requireBer } from "../tlv/ber.ts";
import { CLA_GP, INS_GET_DATA } from "./constants.ts";
import "./errors.ts";

/** 1.2.840.114283, GlobalPlatform, as OID bytes. */
const GLOBALPLATFORM = fromHex("2A864886FC6B");

/** A secure channel protocol and its options. */
export interface SecureChannelSupport {
  /** `0x03`. */
  readonly scp: number;
  /** The `i` parameter. */
  readonly i: number;
}

/** Card recognition data. */
export interface CardData {
  /** Of the card specification, `2.3.1`. */
  readonly globalPlatformVersion: string;
  readonly secureChannels: readonly SecureChannelSupport[];
}

/** GET DATA of card data. */
export function getCardDataCommand(cla: number = CLA_GP): CommandApdu {
  return command(cla, INS_GET_DATA, 0x00, 0x66, undefined, 256);
}

/** Numbers after the GlobalPlatform arc, each in base 128. */
function arcs(oid: Uint8Array): number[] {
  const fault = () =>
    new CodedError("GP_ANSWER", "Cannot read card data: an object identifier is not GlobalPlatform's");
  if (!equal(oid.subarray(0, GLOBALPLATFORM.length), GLOBALPLATFORM)) throw fault();
  const numbers: number[] = [];
  let value = 0;
  let open = false;
  for (const byte of oid.subarray(GLOBALPLATFORM.length)) {
    value = value * 128 + (byte & 0x7f);
    if (value > 0xffff) throw fault();
    open = (byte & 0x80) !== 0;
    if (open) continue;
    numbers.push(value);
    value = 0;
  }
  if (open || numbers.length === 0) throw fault();
  return numbers;
}

function oid(numbers: readonly number[]): Uint8Array {
  const bytes = numbers.flatMap((n) => {
    if (n < 0x80) return [n];
    if (n < 0x4000) return [0x80 | (n >> 7), n & 0x7f];
    return [0x80 | (n >> 14), 0x80 | ((n >> 7) & 0x7f), n & 0x7f];
  });
  return concat(GLOBALPLATFORM, Uint8Array.from(bytes));
}

/** Reads the value of tag 73. @throws {CodedError} `TLV_*`, `GP_ANSWER`. */
export function parseCardRecognitionData(value: Uint8Array): CardData {
  const elements = parseBer(value);
  const version = arcs(requireBer(requireBer(elements, 0x60).children(), 0x06).value);
  const secureChannels = elements.filter((element) => element.tag === 0x64).flatMap((element) =>
    element.children().filter((child) => child.tag === 0x06).map((child) => {
      const [kind, scp, i] = arcs(child.value);
      if (kind !== 4 || scp === undefined || i === undefined) {
        throw new CodedError("GP_ANSWER", "Cannot read card data: tag 64 names no secure channel");
      }
      return { scp, i };
    })
  );
  if (version[0] !== 2 || version.length < 2) {
    throw new CodedError("GP_ANSWER", "Cannot read card data: tag 60 names no version");
  }
  return { globalPlatformVersion: version.slice(1).join("."), secureChannels };
}

/** Reads the answer to GET DATA 66. @throws {CodedError} `TLV_*`, `GP_ANSWER`. */
export function parseCardData(data: Uint8Array): CardData {
  return parseCardRecognitionData(requireBer(requireBer(parseBer(data), 0x66).children(), 0x73).value);
}

/** Writes tag 73 as recorded: object identifier of the table, 60, 63, then a 64 for each secure channel. */
export function encodeCardRecognitionData(card: CardData): Uint8Array {
  const version = card.globalPlatformVersion.split(".").map(Number);
  return encodeBer(
    0x73,
    encodeBer(0x06, oid([1])),
    encodeBer(0x60, encodeBer(0x06, oid([2, ...version]))),
    encodeBer(0x63, encodeBer(0x06, oid([3]))),
    ...card.secureChannels.map(({ scp, i }) => encodeBer(0x64, encodeBer(0x06, oid([4, scp, i])))),
  );
}

/** Writes the answer to GET DATA 66. */
export function encodeCardData(card: CardData): Uint8Array {
  return encodeBer(0x66, encodeCardRecognitionData(card));
}
