/** SET STATUS: life cycle of the card or of an application. GPC 2.3.1, 11.10. */

import { command, type CommandApdu } from "../apdu/command.ts";
import { checkAid } from "./aid.ts";
import { CARD_LIFE_CYCLE, CLA_GP, INS_SET_STATUS } from "./constants.ts";

/** P1: whose. Section 11.10.2.1. */
export const SET_STATUS_SCOPE = {
  /** The Issuer Security Domain, hence the card. */
  CARD: 0x80,
  /** An application or a supplementary Security Domain. */
  APPLICATION: 0x40,
  /** A Security Domain and its applications. */
  SECURITY_DOMAIN_AND_APPLICATIONS: 0x60,
} as const;

/** One of the scopes. */
export type SetStatusScope = (typeof SET_STATUS_SCOPE)[keyof typeof SET_STATUS_SCOPE];

/** SET STATUS. The AID is ignored by cards for scope `CARD`, and may be left out there. @throws {CodedError} `GP_AID`. */
export function setStatusCommand(
  scope: SetStatusScope,
  lifeCycle: number,
  aid?: Uint8Array,
  options: { readonly cla?: number } = {},
): CommandApdu {
  const data = scope === SET_STATUS_SCOPE.CARD && aid === undefined
    ? undefined
    : checkAid(aid ?? new Uint8Array(0));
  return command(options.cla ?? CLA_GP, INS_SET_STATUS, scope, lifeCycle, data);
}

/** SET STATUS of the card to SECURED: from here on only genuine owners change it. One way. */
export function secureCardCommand(options: { readonly cla?: number } = {}): CommandApdu {
  return setStatusCommand(SET_STATUS_SCOPE.CARD, CARD_LIFE_CYCLE.SECURED, undefined, options);
}

/** What a SET STATUS asks for. */
export interface SetStatus {
  readonly scope: SetStatusScope;
  readonly lifeCycle: number;
  /** Empty when there is none. */
  readonly aid: Uint8Array;
}

/** The card's reading of SET STATUS; undefined when P1 is no scope (6A86). */
export function parseSetStatus(apdu: CommandApdu): SetStatus | undefined {
  const scope = Object.values(SET_STATUS_SCOPE).find((value) => value === apdu.p1);
  return scope === undefined ? undefined : { scope, lifeCycle: apdu.p2, aid: apdu.data };
}
