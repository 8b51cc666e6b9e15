/** Commands of a security domain: which class, which session, which function. GPC 2.3.1, table 11-1. */

import { concat } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { encodeBer } from "shared/protocol/tlv/ber.ts";
import { AppletCall } from "../applet/call.ts";
import { storeData } from "../applet/store_data.ts";
import type { CardContext } from "../context.ts";
import { findDomain, findInstance } from "../registry.ts";
import type { DomainState } from "../state.ts";
import { deleteObject } from "./delete.ts";
import { getData } from "./get_data.ts";
import { getStatus } from "./get_status.ts";
import { install } from "./install.ts";
import { load } from "./load.ts";
import { putKey } from "./put_key.ts";
import { setStatus } from "./set_status.ts";

const CLA_ISO = 0x00;
const CLA_GP = 0x80;
const CLA_GP_SECURE = 0x84;

const INS_INITIALIZE_UPDATE = 0x50;
const INS_EXTERNAL_AUTHENTICATE = 0x82;
const INS_GET_DATA = 0xca;
const INS_STORE_DATA = 0xe2;
const LAST_STORE_DATA = 0x80;
const C_MAC = 0x01;

type Handler = (context: CardContext, domain: DomainState, command: CommandApdu) => ResponseApdu;

/** Functions that need a session with C-MAC. */
const AUTHENTICATED: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [0xd8, putKey],
  [0xe2, storeDataToTarget],
  [0xe4, deleteObject],
  [0xe6, install],
  [0xe8, (context, _domain, command) => load(context, command)],
  [0xf0, setStatus],
  [0xf2, (context, _domain, command) => getStatus(context, command)],
]);

/** Executes a command for the selected domain. */
export function domainCommand(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { channel } = context.volatile;
  const { cla, ins } = command;
  const secure = cla === CLA_GP_SECURE;
  if (cla !== CLA_ISO && cla !== CLA_GP && !secure) return response(SW.CLA_NOT_SUPPORTED);

  if (ins === INS_INITIALIZE_UPDATE) {
    if (cla !== CLA_GP) return response(SW.CLA_NOT_SUPPORTED);
    leaveSession(context);
    return channel.initializeUpdate(context, { kind: "domain", domain }, command);
  }
  if (ins === INS_EXTERNAL_AUTHENTICATE) {
    if (!secure) return response(SW.CLA_NOT_SUPPORTED);
    const outcome = channel.externalAuthenticate(context, command);
    if (outcome === "authenticated") return response(SW.OK);
    return response(outcome === "failed" ? SW.WARNING_STATE_CHANGED : SW.CONDITIONS_NOT_SATISFIED);
  }
  const handler = ins === INS_GET_DATA ? getData : AUTHENTICATED.get(ins);
  if (handler === undefined) return response(SW.INS_NOT_SUPPORTED);
  if (!secure) {
    return ins === INS_GET_DATA
      ? getData(context, domain, command)
      : response(cla === CLA_ISO ? SW.CLA_NOT_SUPPORTED : SW.SECURITY_STATUS_NOT_SATISFIED);
  }
  if ((channel.level & C_MAC) === 0) return response(SW.SECURITY_STATUS_NOT_SATISFIED);
  const plain = channel.unwrap(command);
  if ("sw" in plain) return response(plain.sw);
  if (ins !== INS_STORE_DATA) context.volatile.personalizing = null;
  if (ins !== 0xe8) context.volatile.load = ins === 0xe6 ? context.volatile.load : null;
  const present = findDomain(context.state, domain.aid) ?? domain;
  // INSTALL [for personalization] itself sets the target again.
  return channel.wrap(handler(context, present, plain));
}

/** What a session held open falls with it. */
function leaveSession(context: CardContext): void {
  context.volatile.personalizing = null;
  context.volatile.load = null;
}

/** STORE DATA goes to the instance that INSTALL [for personalization] named. */
function storeDataToTarget(context: CardContext, _domain: DomainState, command: CommandApdu): ResponseApdu {
  const { personalizing, channel } = context.volatile;
  const instance = personalizing === null ? undefined : findInstance(context.state, personalizing);
  if (instance === undefined) return response(SW.CONDITIONS_NOT_SATISFIED);
  if ((command.p1 & LAST_STORE_DATA) !== 0) context.volatile.personalizing = null;
  if (instance.recoveryKey === null) return response(SW.INS_NOT_SUPPORTED);
  const call = new AppletCall(context, instance, instance.recoveryKey);
  return response(storeData(call, command.data, channel.level));
}

/** File control information of a domain, as recorded for the ISD. GPC 2.3.1, table 11-82. */
export function fileControlInformation(domain: DomainState, cardData: Uint8Array): Uint8Array {
  return encodeBer(
    0x6f,
    encodeBer(0x84, domain.aid),
    encodeBer(0xa5, concat(cardData, encodeBer(0x9f65, Uint8Array.of(0xff)))),
  );
}
