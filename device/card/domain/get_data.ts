/** GET DATA of a security domain. GPC 2.3.1, 11.3; card page, section 7 step 1. */

import { concat, writeUint } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { encodeBer } from "shared/protocol/tlv/ber.ts";
import type { CardContext } from "../context.ts";
import type { DomainState } from "../state.ts";

const TAG_CPLC = 0x9f7f;
const TAG_CARD_DATA = 0x66;
const TAG_KEY_INFORMATION = 0xe0;
const TAG_SEQUENCE_COUNTER = 0xc1;
const TAG_KEY_DIVERSIFICATION_DATA = 0xcf;
/** Key type AES. GPC 2.3.1, table 11-16. */
const KEY_TYPE_AES = 0x88;
/** ENC, MAC, DEK have identifiers 1, 2, 3. */
const KEY_IDENTIFIERS = [1, 2, 3];

/** Answers GET DATA; unknown tags are `6A88`. */
export function getData(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { state } = context;
  const keyOwner = domain.keySets.length > 0 ? domain : state.domains[0]!;
  switch (command.p1 * 256 + command.p2) {
    case TAG_CPLC:
      return response(SW.OK, encodeBer(TAG_CPLC, state.cplc));
    case TAG_CARD_DATA:
      return response(SW.OK, encodeBer(TAG_CARD_DATA, state.cardData));
    case TAG_KEY_INFORMATION:
      return response(SW.OK, encodeBer(TAG_KEY_INFORMATION, ...keyOwner.keySets.flatMap(keyTemplates)));
    case TAG_SEQUENCE_COUNTER:
      return response(
        SW.OK,
        encodeBer(TAG_SEQUENCE_COUNTER, writeUint(keyOwner.keySets[0]?.sequenceCounter ?? 0, 3)),
      );
    case TAG_KEY_DIVERSIFICATION_DATA:
      return response(SW.OK, encodeBer(TAG_KEY_DIVERSIFICATION_DATA, state.keyDiversificationData));
    default:
      return response(SW.REFERENCED_DATA_NOT_FOUND);
  }
}

function keyTemplates(keys: DomainState["keySets"][number]): Uint8Array[] {
  return KEY_IDENTIFIERS.map((identifier) =>
    concat(Uint8Array.of(0xc0, 4, identifier, keys.version, KEY_TYPE_AES, keys.enc.length))
  );
}
