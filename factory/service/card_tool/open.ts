/** Selecting a domain and opening its channel, as every command with keys does it. */

import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { SHORT_DATA_MAX } from "shared/protocol/apdu/command.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { type CardData, getCardDataCommand, parseCardData } from "shared/protocol/gp/card_data.ts";
import {
  I_RENC,
  I_RMAC,
  I_S16,
  isSecurityLevel,
  type Scp03Mode,
  SCP_ID,
  type SecurityLevel,
} from "shared/protocol/scp03/constants.ts";
import { plainDataMax } from "shared/protocol/scp03/secure_messaging.ts";
import type { KeySource } from "../../domain/card_tool/key_file.ts";
import { identify, selectDomain, type SelectedDomain } from "./look.ts";
import type { ToolSession } from "./session.ts";

/** What a person may ask of the channel. */
export interface ChannelWish {
  /** Security domain to speak to; absent: the issuer's. */
  readonly domain?: Uint8Array;
  readonly keys: KeySource | undefined;
  readonly keyVersion?: number;
  /** Absent: the strongest that the card says it has. */
  readonly level?: number;
  /** Absent: what the card says. */
  readonly mode?: Scp03Mode;
}

/** Least bound of command data that is believed, in bytes. */
const COMMAND_DATA_MIN = 64;

/** An open channel. */
export interface OpenedDomain {
  readonly selected: SelectedDomain;
  readonly chip: string;
  readonly level: SecurityLevel;
  /** Longest plain data of one command, in bytes. */
  readonly dataMax: number;
}

/** Parameter `i` of SCP03, or undefined when the card says nothing. @throws {CodedError} `CARDTOOL_SCP`. */
export function scp03Parameter(cardData: CardData | undefined): number | undefined {
  if (cardData === undefined || cardData.secureChannels.length === 0) return undefined;
  const ours = cardData.secureChannels.find(({ scp }) => scp === SCP_ID);
  if (ours !== undefined) return ours.i;
  const names = cardData.secureChannels.map(({ scp }) => `SCP${scp.toString(16).padStart(2, "0")}`);
  throw new CodedError(
    "CARDTOOL_SCP",
    `Cannot open a secure channel: the card offers ${names.join(", ")}, not SCP03; no key was tried`,
    { secureChannels: names },
  );
}

/** The strongest level that `i` allows; C-MAC and C-ENC when nothing is known. */
export function strongestLevel(i: number | undefined): SecurityLevel {
  if (i === undefined) return 0x03;
  if ((i & (I_RMAC | I_RENC)) === (I_RMAC | I_RENC)) return 0x33;
  return (i & I_RMAC) !== 0 ? 0x13 : 0x03;
}

async function cardDataOf(session: ToolSession, selected: SelectedDomain): Promise<CardData | undefined> {
  if (selected.cardData !== undefined) return selected.cardData;
  const answer = await session.read("read card data", getCardDataCommand());
  if (answer.sw !== SW.OK) return undefined;
  try {
    return parseCardData(answer.data);
  } catch {
    return undefined;
  }
}

/**
 * Selects the domain and authenticates with one key set.
 * @throws {CodedError} `CARDTOOL_NO_KEYS`, `CARDTOOL_SCP`, `CARDTOOL_GUARD`, `CARDTOOL_NOT_THERE`, `SCP03_*`.
 */
export async function openDomain(session: ToolSession, wish: ChannelWish): Promise<OpenedDomain> {
  if (wish.keys === undefined) {
    throw new CodedError("CARDTOOL_NO_KEYS", "Cannot open a secure channel: no keys were given");
  }
  const selected = await selectDomain(session, wish.domain);
  const i = scp03Parameter(await cardDataOf(session, selected));
  const chip = await identify(session);
  const level = wish.level ?? strongestLevel(i);
  if (!isSecurityLevel(level)) {
    throw new CodedError("CARDTOOL_USAGE", "Cannot use security level: it is 00, 01, 03, 11, 13 or 33");
  }
  const mode = wish.mode ?? (i !== undefined && (i & I_S16) !== 0 ? "S16" : "S8");
  await session.authenticate({
    chip,
    domain: toHex(selected.aid),
    keyVersion: wish.keyVersion ?? wish.keys.version ?? 0,
    keys: wish.keys,
    level,
    mode,
  });
  const macLength = mode === "S16" ? 16 : 8;
  const fits = (level & 0x01) === 0 ? SHORT_DATA_MAX : plainDataMax((level & 0x02) !== 0, macLength);
  // A card that names its own bound counts what the channel adds; a bound that holds no block is none.
  const told = selected.maxCommandData ?? SHORT_DATA_MAX;
  const own = told < COMMAND_DATA_MIN ? SHORT_DATA_MAX : told;
  return { selected, chip, level, dataMax: Math.min(fits, own - (SHORT_DATA_MAX - fits)) };
}
