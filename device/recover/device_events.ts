/** Which event of the device's state machines (session_flow.ts) a command is: spec/recover.md, sections 2 and 3, as tables. */

import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import {
  COMMAND,
  INS,
  P1_CERTIFICATE,
  P1_GET_SHARE,
  P1_VALIDATE,
  ROOT_ID,
} from "shared/protocol/recover/constants.ts";
import { DeviceRefusal } from "./refusal.ts";
import type { ChannelEvent, ProviderEvent } from "./session_flow.ts";

/**
 * Event of an outer command, by INS, P1 and P2; P2 of a host certificate is the identifier of its root.
 * @throws {DeviceRefusal} `6D00` unknown INS, `6A86` wrong P1 or P2.
 */
export function eventOf({ ins, p1, p2 }: CommandApdu): ChannelEvent {
  const isStatic = p1 === P1_CERTIFICATE.STATIC;
  const isCertificate = isStatic || p1 === P1_CERTIFICATE.EPHEMERAL;
  const known = p1 === 0 && p2 === 0;
  switch (ins) {
    case INS.TARGET:
      if (p1 === 0x02 && p2 === 0) return "target";
      break;
    case INS.START:
      if (known) return "start";
      break;
    case INS.HOST_CERTIFICATE:
      if (isCertificate && (p2 === ROOT_ID.ENROL || p2 === ROOT_ID.ENROLLED)) {
        return isStatic ? "host-static" : "host-ephemeral";
      }
      break;
    case INS.DEVICE_CERTIFICATE:
      if (isCertificate && p2 === 0) return isStatic ? "device-static" : "device-ephemeral";
      break;
    case INS.DONE:
      if (known) return "done";
      break;
    case INS.SEALED:
      if (known) return "sealed";
      break;
    default:
      throw new DeviceRefusal(SW.INS_NOT_SUPPORTED);
  }
  throw new DeviceRefusal(SW.INCORRECT_P1P2);
}

/** Sealed commands as data: code, then P1 where it decides. */
const PROVIDER_EVENTS: ReadonlyMap<number, ProviderEvent | ReadonlyMap<number, ProviderEvent>> = new Map<
  number,
  ProviderEvent | ReadonlyMap<number, ProviderEvent>
>([
  [COMMAND.CONFIRM_IDENTITY, "confirm-identity"],
  [
    COMMAND.PROVIDER_CERTIFICATE,
    new Map<number, ProviderEvent>([
      [P1_CERTIFICATE.STATIC, "provider-static"],
      [P1_CERTIFICATE.EPHEMERAL, "provider-ephemeral"],
    ]),
  ],
  [COMMAND.MUTUAL_AUTHENTICATION, "mutual-authentication"],
  [COMMAND.VALIDATE_HASH, "validate-hash"],
  [
    COMMAND.GET_SHARE,
    new Map<number, ProviderEvent>([
      [P1_GET_SHARE.SHARE, "get-share"],
      [P1_GET_SHARE.COMMITMENTS, "get-commitments"],
      [P1_GET_SHARE.AUXILIARY_POINT, "get-auxiliary-point"],
    ]),
  ],
  [
    COMMAND.VALIDATE_COMMITMENTS,
    new Map<number, ProviderEvent>([
      [P1_VALIDATE.COMMITMENTS, "validate-commitments"],
      [P1_VALIDATE.SHARE_COMMITMENT, "validate-share-commitment"],
      [P1_VALIDATE.HASH, "validate-values"],
    ]),
  ],
  [
    COMMAND.RESTORE,
    new Map<number, ProviderEvent>([[0x00, "restore"], [0x0c, "restore"], [0x12, "restore"]]),
  ],
  [COMMAND.DELETE, "delete"],
]);

/**
 * Event of a sealed command.
 * @throws {DeviceRefusal} `6985` a command for another state, `6A80` one that is not there.
 */
export function providerEventOf(code: number, p1: number): ProviderEvent {
  const row = PROVIDER_EVENTS.get(code);
  const event = typeof row === "string" ? row : row?.get(p1);
  if (event === undefined) {
    const isKnown = row !== undefined || code === COMMAND.ENROL_ROOT || code === COMMAND.REMOVE_ROOT;
    throw new DeviceRefusal(isKnown ? SW.CONDITIONS_NOT_SATISFIED : SW.WRONG_DATA);
  }
  return event;
}
