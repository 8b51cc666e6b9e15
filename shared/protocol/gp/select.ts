/** SELECT by AID, and the FCI that a Security Domain answers. GPC 2.3.1, 11.9. */

import { readUint } from "../../base/bytes.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { encodeBer, findBer, parseBer, requireBer } from "../tlv/ber.ts";
import { checkAid } from "./aid.ts";
import { type CardData, encodeCardRecognitionData, parseCardRecognitionData } from "./card_data.ts";
import { INS_SELECT } from "./constants.ts";

/** P1 of selection by name. */
export const P1_SELECT_BY_NAME = 0x04;
/** P2: the first or only occurrence. */
export const P2_SELECT_FIRST = 0x00;
/** P2: the next occurrence. */
export const P2_SELECT_NEXT = 0x02;

/** SELECT, with Le as recorded; `next` asks for the next instance whose AID begins so. @throws {CodedError} `GP_AID`. */
export function selectCommand(aid: Uint8Array, options: { readonly next?: boolean } = {}): CommandApdu {
  const p2 = options.next ? P2_SELECT_NEXT : P2_SELECT_FIRST;
  return command(0x00, INS_SELECT, P1_SELECT_BY_NAME, p2, checkAid(aid), 256);
}

/** SELECT of the default application, which on a fresh card is the Issuer Security Domain. */
export function selectDefaultCommand(): CommandApdu {
  return command(0x00, INS_SELECT, P1_SELECT_BY_NAME, P2_SELECT_FIRST, undefined, 256);
}

/** FCI of a Security Domain. Section 11.9.3.1. */
export interface SelectAnswer {
  readonly aid: Uint8Array;
  readonly cardData: CardData | undefined;
  /** Longest data field of a command, in bytes. */
  readonly maxCommandData: number | undefined;
}

/** Reads an FCI. @throws {CodedError} `TLV_*`, `GP_ANSWER`. */
export function parseSelectAnswer(data: Uint8Array): SelectAnswer {
  const fci = requireBer(parseBer(data), 0x6f).children();
  const proprietary = findBer(fci, 0xa5)?.children() ?? [];
  const recognition = findBer(proprietary, 0x73);
  const maximum = findBer(proprietary, 0x9f65);
  return {
    aid: checkAid(requireBer(fci, 0x84).value.slice()),
    cardData: recognition === undefined ? undefined : parseCardRecognitionData(recognition.value),
    maxCommandData: maximum === undefined ? undefined : readUint(maximum.value.subarray(-2)),
  };
}

/** Writes an FCI as recorded: 84, A5 { 73, 9F65 }. */
export function encodeSelectAnswer(answer: SelectAnswer): Uint8Array {
  const parts: Uint8Array[] = [];
  if (answer.cardData !== undefined) parts.push(encodeCardRecognitionData(answer.cardData));
  if (answer.maxCommandData !== undefined) {
    const maximum = answer.maxCommandData;
    parts.push(
      encodeBer(
        0x9f65,
        maximum > 0xff ? Uint8Array.of(maximum >> 8, maximum & 0xff) : Uint8Array.of(maximum),
      ),
    );
  }
  return encodeBer(0x6f, encodeBer(0x84, checkAid(answer.aid)), encodeBer(0xa5, ...parts));
}
