/** What a card says of itself without any key. */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { command } from "shared/protocol/apdu/command.ts";
import type { ResponseApdu } from "shared/protocol/apdu/response.ts";
import { describeStatus, formatStatus, SW } from "shared/protocol/apdu/status_words.ts";
import { type CardData, getCardDataCommand, parseCardData } from "shared/protocol/gp/card_data.ts";
import { CLA_GP, DEFAULT_ISD_AID_HEX, INS_GET_DATA } from "shared/protocol/gp/constants.ts";
import { type Cplc, cplcHex, getCplcCommand, parseCplc } from "shared/protocol/gp/cplc.ts";
import {
  getKeyInformationCommand,
  type KeyInformation,
  parseKeyInformation,
} from "shared/protocol/gp/key_information.ts";
import {
  parseSelectAnswer,
  type SelectAnswer,
  selectCommand,
  selectDefaultCommand,
} from "shared/protocol/gp/select.ts";
import { parseBer, requireBer } from "shared/protocol/tlv/ber.ts";
import { chipIdentity } from "../../domain/card_tool/guard.ts";
import type { ToolSession } from "./session.ts";

/** Issuer security domains of card makers, tried when the default application is not a security domain. */
const ISSUER_DOMAINS: readonly string[] = [
  DEFAULT_ISD_AID_HEX,
  "A000000003000000",
  "A0000001510000",
  "A000000018434D00",
  "A0000000035350",
];
/** A locked card answers SELECT of the issuer domain so. GPC 2.3.1, table 11-83. */
const SW_CARD_LOCKED = 0x6283;
const TAG_KEY_DIVERSIFICATION_DATA = 0xcf;
const TAG_SEQUENCE_COUNTER = 0xc1;

/** The selected security domain. */
export interface SelectedDomain extends SelectAnswer {
  /** The card said that it is locked. */
  readonly cardLocked: boolean;
}

/** What was asked and not answered. */
export interface Unanswered {
  readonly what: string;
  readonly why: string;
}

/** A card without keys. */
export interface CardFacts {
  /** See `chipIdentity`. */
  readonly chip: string;
  readonly domain: SelectedDomain | undefined;
  readonly cplc?: Cplc;
  readonly cardData?: CardData;
  readonly kdd?: Uint8Array;
  readonly keys?: readonly KeyInformation[];
  readonly sequenceCounter?: Uint8Array;
  readonly unanswered: readonly Unanswered[];
}

function readDomain(answer: ResponseApdu): SelectedDomain | undefined {
  if (answer.sw !== SW.OK && answer.sw !== SW_CARD_LOCKED) return undefined;
  try {
    return { ...parseSelectAnswer(answer.data), cardLocked: answer.sw === SW_CARD_LOCKED };
  } catch {
    // An application that is no security domain answers what it likes.
    return undefined;
  }
}

/**
 * Selects a security domain: the named one, else the issuer's.
 * @throws {CodedError} `CARDTOOL_NOT_THERE`.
 */
export async function selectDomain(session: ToolSession, aid?: Uint8Array): Promise<SelectedDomain> {
  if (aid !== undefined) {
    const answer = await session.read("select the security domain", selectCommand(aid));
    if (answer.sw !== SW.OK && answer.sw !== SW_CARD_LOCKED) {
      throw new CodedError(
        "CARDTOOL_NOT_THERE",
        `Cannot select ${toHex(aid)}: the card answers ${describeStatus(answer.sw)}`,
        { sw: answer.sw },
      );
    }
    return readDomain(answer) ??
      { aid, cardData: undefined, maxCommandData: undefined, cardLocked: answer.sw === SW_CARD_LOCKED };
  }
  const first = await session.read("select the issuer security domain", selectDefaultCommand());
  const found = readDomain(first);
  if (found !== undefined) return found;
  for (const candidate of ISSUER_DOMAINS) {
    const answer = await session.read(
      "look for the issuer security domain",
      selectCommand(fromHex(candidate)),
    );
    const domain = readDomain(answer);
    if (domain !== undefined) return domain;
  }
  throw new CodedError(
    "CARDTOOL_NOT_THERE",
    `Cannot find the issuer security domain: the card answers ${describeStatus(first.sw)}`,
    { sw: first.sw },
  );
}

/** Reads one data object, or notes why it could not be read. */
async function ask<T>(
  session: ToolSession,
  what: string,
  apdu: Parameters<ToolSession["read"]>[1],
  parse: (data: Uint8Array) => T,
  unanswered: Unanswered[],
): Promise<T | undefined> {
  const answer = await session.read(`read ${what}`, apdu);
  if (answer.sw !== SW.OK) {
    unanswered.push({ what, why: formatStatus(answer.sw) });
    return undefined;
  }
  try {
    return parse(answer.data);
  } catch (error) {
    unanswered.push({ what, why: (error as Error).message });
    return undefined;
  }
}

function tagged(tag: number): (data: Uint8Array) => Uint8Array {
  return (data) => requireBer(parseBer(data), tag).value.slice();
}

/** Which chip this is: the least that the guard has to know. */
export async function identify(session: ToolSession): Promise<string> {
  const nothing: Unanswered[] = [];
  const cplc = await ask(session, "CPLC", getCplcCommand(), parseCplc, nothing);
  if (cplc !== undefined) return chipIdentity({ cplc, atr: session.atr });
  const kdd = await readKdd(session, nothing);
  return chipIdentity({ atr: session.atr, ...(kdd === undefined ? {} : { kdd }) });
}

function readKdd(session: ToolSession, unanswered: Unanswered[]): Promise<Uint8Array | undefined> {
  const apdu = command(CLA_GP, INS_GET_DATA, 0, TAG_KEY_DIVERSIFICATION_DATA, undefined, 256);
  return ask(session, "key diversification data", apdu, tagged(TAG_KEY_DIVERSIFICATION_DATA), unanswered);
}

/** Reads everything that the card gives without a key. A card that refuses a part still gives the rest. */
export async function lookAt(session: ToolSession, aid?: Uint8Array): Promise<CardFacts> {
  const unanswered: Unanswered[] = [];
  let domain: SelectedDomain | undefined;
  try {
    domain = await selectDomain(session, aid);
  } catch (error) {
    if (!(error instanceof CodedError) || aid !== undefined) throw error;
    unanswered.push({ what: "issuer security domain", why: error.message });
  }
  const cplc = await ask(session, "CPLC", getCplcCommand(), parseCplc, unanswered);
  const cardData = await ask(session, "card data", getCardDataCommand(), parseCardData, unanswered) ??
    domain?.cardData;
  const keys = await ask(
    session,
    "key information",
    getKeyInformationCommand(),
    parseKeyInformation,
    unanswered,
  );
  const kdd = await readKdd(session, unanswered);
  const counter = command(CLA_GP, INS_GET_DATA, 0, TAG_SEQUENCE_COUNTER, undefined, 256);
  const sequenceCounter = await ask(
    session,
    "sequence counter",
    counter,
    tagged(TAG_SEQUENCE_COUNTER),
    unanswered,
  );
  const facts = {
    ...(cplc === undefined ? {} : { cplc }),
    ...(cardData === undefined ? {} : { cardData }),
    ...(kdd === undefined ? {} : { kdd }),
    ...(keys === undefined ? {} : { keys }),
    ...(sequenceCounter === undefined ? {} : { sequenceCounter }),
  };
  return { chip: chipIdentity({ ...facts, atr: session.atr }), domain, ...facts, unanswered };
}

/** CPLC fields in hex, for reports. */
export function cplcReport(cplc: Cplc): Record<string, string> {
  return {
    hex: cplcHex(cplc),
    ...Object.fromEntries(Object.entries(cplc).map(([name, value]) => [name, toHex(value as Uint8Array)])),
  };
}
