/** PUT KEY with AES keys, several in one command. GPC 2.3.1, 11.8; Amendment D, 7.2. */

import { equal } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { parsePutKey, type ReceivedKeys } from "shared/protocol/gp/put_key_parser.ts";
import { APPLICATION_SELECTABLE, DOMAIN_PERSONALIZED } from "../constants.ts";
import type { CardContext } from "../context.ts";
import { issuerDomain, withDomain } from "../registry.ts";
import type { DomainState, KeySetState } from "../state.ts";

/** P2: several keys, the first with identifier 1. */
const P2_MULTIPLE_FROM_1 = 0x81;

/**
 * Executes PUT KEY: adds a key set (P1 00) or replaces one (P1 its version).
 * @returns new version || three key check values.
 */
export function putKey(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  if (command.p2 !== P2_MULTIPLE_FROM_1) return response(SW.INCORRECT_P1P2);
  let received: ReceivedKeys;
  try {
    received = parsePutKey(command, (data) => context.volatile.channel.decryptWithDek(data));
  } catch (error) {
    const aboutCheckValue = codeOf(error) === "GP_KEY_CHECK_VALUE";
    return response(aboutCheckValue ? SW.INVALID_KEY_CHECK_VALUE : SW.WRONG_DATA);
  }
  const version = received.newVersion;
  const replaced = command.p1 === 0 ? undefined : domain.keySets.find((keys) => keys.version === command.p1);
  if (command.p1 !== 0 && replaced === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (domain.keySets.some((keys) => keys.version === version && keys !== replaced)) {
    return response(SW.WRONG_DATA);
  }
  const [enc, mac, dek] = received.keys.map(({ key }) => key.reveal());
  if (enc === undefined || mac?.length !== enc.length || dek?.length !== enc.length) {
    return response(SW.WRONG_DATA);
  }
  const keySet: KeySetState = { version, enc, mac, dek, sequenceCounter: 0, failedAuthentications: 0 };
  const keySets = replaced === undefined
    ? [...domain.keySets, keySet]
    : domain.keySets.map((keys) => keys === replaced ? keySet : keys);
  // The life cycle of the ISD is the card's; only an SSD becomes personalized by its first keys.
  const isIssuer = equal(domain.aid, issuerDomain(context.state).aid);
  const lifeCycle = !isIssuer && domain.lifeCycle === APPLICATION_SELECTABLE
    ? DOMAIN_PERSONALIZED
    : domain.lifeCycle;
  context.state = withDomain(context.state, { ...domain, keySets, lifeCycle });
  return response(SW.OK, received.answer);
}
