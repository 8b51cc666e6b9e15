/** PUT KEY: single keys and whole sets, AES and public, over several commands. GPC 2.3.1, 11.8; Amendment D, 7.2. */

import { concat, equal } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { P1_MORE_PUT_KEY, publicKeyComponents } from "shared/protocol/gp/public_key.ts";
import { KEY_TYPE_AES } from "shared/protocol/gp/put_key.ts";
import { parsePutKey, type ReceivedKeys } from "shared/protocol/gp/put_key_parser.ts";
import { APPLICATION_SELECTABLE, DOMAIN_PERSONALIZED } from "../constants.ts";
import type { CardContext } from "../context.ts";
import { issuerDomain, withDomain } from "../registry.ts";
import type { DomainState } from "../state.ts";
import { keyInformation, type NewKey, withKeys } from "./keys.ts";

/** Bytes of one key that are gathered at most: more than an RSA key of 4096 bits needs. */
const SERIES_BYTES_MAX = 1024;
/** Longest key information that always fits one wrapped APDU (level 33, S16): so many keys a domain can have. */
const INFORMATION_BYTES_MAX = 223;

const STATUS_OF_CODE: ReadonlyMap<string, number> = new Map([
  ["GP_KEY_CHECK_VALUE", SW.INVALID_KEY_CHECK_VALUE],
  ["GP_KEY", SW.ALGORITHM_NOT_SUPPORTED],
]);

/**
 * Executes PUT KEY: adds keys (P1 00) or replaces those of a version.
 * @returns new version || check values of the secret keys.
 */
export function putKey(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { volatile } = context;
  const running = volatile.series?.kind === "put-key" ? volatile.series : null;
  volatile.series = null;
  const p1 = command.p1 & ~P1_MORE_PUT_KEY;
  if ((command.p2 & 0x7f) === 0 || (running !== null && (running.p1 !== p1 || running.p2 !== command.p2))) {
    return response(SW.INCORRECT_P1P2);
  }
  const bytes = concat(running?.bytes ?? new Uint8Array(0), command.data);
  if (bytes.length > SERIES_BYTES_MAX) return response(SW.NOT_ENOUGH_MEMORY);
  if ((command.p1 & P1_MORE_PUT_KEY) !== 0) {
    volatile.series = { kind: "put-key", p1, p2: command.p2, bytes };
    return response(SW.OK);
  }

  let received: ReceivedKeys;
  try {
    received = parsePutKey({ ...command, data: bytes }, (data) => volatile.channel.decryptWithDek(data));
  } catch (error) {
    return response(STATUS_OF_CODE.get(codeOf(error)) ?? SW.WRONG_DATA);
  }
  const keys: NewKey[] = [
    ...received.keys.map(({ id, key }) => ({
      id,
      components: [{ type: KEY_TYPE_AES, value: key.reveal() }],
    })),
    ...received.publicKeys.map(({ id, key }) => ({ id, components: publicKeyComponents(key) })),
  ];
  const changed = withKeys(domain, p1, received.newVersion, keys);
  if (changed === "missing") return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (changed === "exists") return response(SW.WRONG_DATA);
  if (keyInformation(changed).length > INFORMATION_BYTES_MAX) return response(SW.NOT_ENOUGH_MEMORY);
  // The life cycle of the ISD is the card's; only an SSD becomes personalized by its first keys.
  const isIssuer = equal(domain.aid, issuerDomain(context.state).aid);
  const lifeCycle = !isIssuer && domain.lifeCycle === APPLICATION_SELECTABLE
    ? DOMAIN_PERSONALIZED
    : domain.lifeCycle;
  context.state = withDomain(context.state, { ...changed, lifeCycle });
  return response(SW.OK, received.answer);
}
