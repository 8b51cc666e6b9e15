/** Commands of a security domain: which class, which session, which function. GPC 2.3.1, table 11-1. */

import { concat } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { encodeBer } from "shared/protocol/tlv/ber.ts";
import type { CardContext, CommandSeries } from "../context.ts";
import type { AuthenticationOutcome } from "../secure_channel.ts";
import { CARD_LIFE_CYCLE } from "../constants.ts";
import { findDomain, issuerDomain } from "../registry.ts";
import type { DomainState } from "../state.ts";
import { deleteObject } from "./delete.ts";
import { getData } from "./get_data.ts";
import { getStatus } from "./get_status.ts";
import { install } from "./install.ts";
import { load } from "./load.ts";
import { manageElfUpgrade } from "./manage_elf_upgrade.ts";
import { putKey } from "./put_key.ts";
import { setStatus } from "./set_status.ts";
import { storeDataToTarget } from "./store_data.ts";
import { isHeldByUpgrade } from "../upgrade/session.ts";

const CLA_ISO = 0x00;
const CLA_GP = 0x80;
const CLA_GP_SECURE = 0x84;

const INS_INITIALIZE_UPDATE = 0x50;
const INS_EXTERNAL_AUTHENTICATE = 0x82;
const INS_GET_DATA = 0xca;
const INS_SELECT = 0xa4;
const INS_PUT_KEY = 0xd8;
const INS_STORE_DATA = 0xe2;
const INS_LOAD = 0xe8;
const INS_MANAGE_ELF_UPGRADE = 0xea;
const INS_SET_STATUS = 0xf0;
const INS_GET_STATUS = 0xf2;
const C_MAC = 0x01;

type Handler = (context: CardContext, domain: DomainState, command: CommandApdu) => ResponseApdu;

/** Functions that need a session. */
const AUTHENTICATED: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [INS_PUT_KEY, putKey],
  [INS_STORE_DATA, storeDataToTarget],
  [0xe4, deleteObject],
  [0xe6, install],
  [INS_LOAD, (context, _domain, command) => load(context, command)],
  [INS_MANAGE_ELF_UPGRADE, manageElfUpgrade],
  [INS_SET_STATUS, setStatus],
  [INS_GET_STATUS, getStatus],
]);

/** What a locked card still does, besides opening a session. GPC 2.3.1, table 11-1. */
const WHEN_LOCKED: readonly number[] = [INS_GET_DATA, INS_GET_STATUS, INS_SET_STATUS];

/** Which command goes on with which series; any other ends it. */
const SERIES_INS: Readonly<Record<CommandSeries["kind"], number>> = {
  "load": INS_LOAD,
  "personalize": INS_STORE_DATA,
  "store-data": INS_STORE_DATA,
  "put-key": INS_PUT_KEY,
};

/** Executes a command for the selected domain. */
export function domainCommand(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { volatile } = context;
  const { channel } = volatile;
  const { cla, ins } = command;
  const secure = cla === CLA_GP_SECURE;
  if (cla !== CLA_ISO && cla !== CLA_GP && !secure) return response(SW.CLA_NOT_SUPPORTED);

  if (ins === INS_INITIALIZE_UPDATE) {
    if (cla !== CLA_GP) return response(SW.CLA_NOT_SUPPORTED);
    volatile.series = null;
    volatile.registryPosition = null;
    return channel.initializeUpdate(context, { kind: "domain", domain }, command);
  }
  if (ins === INS_EXTERNAL_AUTHENTICATE) {
    if (!secure) return response(SW.CLA_NOT_SUPPORTED);
    return response(AUTHENTICATION_STATUS[channel.externalAuthenticate(context, command)]);
  }
  // SELECT by anything but a name. GPC 2.3.1, table 11-80.
  if (ins === INS_SELECT && cla === CLA_ISO) return response(SW.INCORRECT_P1P2);
  const handler = ins === INS_GET_DATA ? getData : AUTHENTICATED.get(ins);
  if (handler === undefined) return response(SW.INS_NOT_SUPPORTED);
  if (!secure && ins === INS_GET_DATA) return getData(context, domain, command);
  if (cla === CLA_ISO) return response(SW.CLA_NOT_SUPPORTED);
  // At level 00 the host is authenticated and its commands go bare; at any other level they are wrapped.
  const expected = channel.isOpen && secure === ((channel.level & C_MAC) !== 0);
  if (!expected) return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  const plain = secure ? channel.unwrap(command) : command;
  if ("sw" in plain) return response(plain.sw);
  if (volatile.series !== null && SERIES_INS[volatile.series.kind] !== ins) volatile.series = null;
  const locked = issuerDomain(context.state).lifeCycle === CARD_LIFE_CYCLE.LOCKED;
  if (locked && !WHEN_LOCKED.includes(ins)) return channel.wrap(response(SW.CONDITIONS_NOT_SATISFIED));
  if (isHeldByUpgrade(context.state, plain)) return channel.wrap(response(SW.CONDITIONS_NOT_SATISFIED));
  const present = findDomain(context.state, domain.aid) ?? domain;
  return channel.wrap(handler(context, present, plain));
}

/** Status words of EXTERNAL AUTHENTICATE. Amendment D, 7.1.2.2; a level that the card does not offer is wrong P1. */
const AUTHENTICATION_STATUS: Readonly<Record<AuthenticationOutcome, number>> = {
  "authenticated": SW.OK,
  "failed": SW.WARNING_STATE_CHANGED,
  "level-unknown": SW.INCORRECT_P1P2,
  "not-initialized": SW.CONDITIONS_NOT_SATISFIED,
};

/** File control information of a domain, as recorded for the ISD. GPC 2.3.1, table 11-82. */
export function fileControlInformation(domain: DomainState, cardData: Uint8Array): Uint8Array {
  return encodeBer(
    0x6f,
    encodeBer(0x84, domain.aid),
    encodeBer(0xa5, concat(cardData, encodeBer(0x9f65, Uint8Array.of(0xff)))),
  );
}
