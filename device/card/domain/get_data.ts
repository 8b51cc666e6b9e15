/** GET DATA of a security domain. GPC 2.3.1, 11.3; card page, section 7 step 1. */

import { concat, writeUint } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { encodeBer } from "shared/protocol/tlv/ber.ts";
import { SCP03_I_PSEUDO_RANDOM } from "../constants.ts";
import type { CardContext } from "../context.ts";
import { keyDomain } from "../registry.ts";
import type { DomainState } from "../state.ts";
import { keyInformation } from "./keys.ts";
import { visibleEntries } from "./registry_view.ts";

const TAG_CPLC = 0x9f7f;
const TAG_CARD_DATA = 0x66;
const TAG_CARD_CAPABILITIES = 0x67;
const TAG_KEY_INFORMATION = 0xe0;
const TAG_SEQUENCE_COUNTER = 0xc1;
const TAG_KEY_DIVERSIFICATION_DATA = 0xcf;
const TAG_APPLICATIONS = 0x2f00;
const TAG_EXTENDED_RESOURCES = 0xff21;

/** What the card says of itself: STORE DATA cannot set it. */
export const BUILT_IN_TAGS: readonly number[] = [
  TAG_CPLC,
  TAG_CARD_DATA,
  TAG_CARD_CAPABILITIES,
  TAG_KEY_INFORMATION,
  TAG_SEQUENCE_COUNTER,
  TAG_KEY_DIVERSIFICATION_DATA,
  TAG_APPLICATIONS,
  TAG_EXTENDED_RESOURCES,
];

/** Memory that GET DATA FF21 tells of, in bytes: a virtual card has no flash that fills up. */
const FREE_MEMORY_BYTES = 0x00020000;
/** Most answer bytes that always fit one wrapped APDU (level 33, S16). */
const ANSWER_MAX = 223;

/** Answers GET DATA; unknown tags are `6A88`. */
export function getData(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { state } = context;
  const keyOwner = keyDomain(state, { kind: "domain", domain });
  const tag = command.p1 * 256 + command.p2;
  switch (tag) {
    case TAG_CPLC:
      return response(SW.OK, encodeBer(TAG_CPLC, state.cplc));
    case TAG_CARD_DATA:
      return response(SW.OK, encodeBer(TAG_CARD_DATA, state.cardData));
    case TAG_CARD_CAPABILITIES:
      return response(SW.OK, cardCapabilities(state.i));
    case TAG_KEY_INFORMATION:
      // A domain that opens channels with another one's keys shows those, and its own besides.
      return response(
        SW.OK,
        keyInformation({ keySets: keyOwner.keySets, otherKeys: domain.otherKeys }),
      );
    case TAG_SEQUENCE_COUNTER:
      if ((state.i & SCP03_I_PSEUDO_RANDOM) === 0) return response(SW.REFERENCED_DATA_NOT_FOUND);
      return response(
        SW.OK,
        encodeBer(TAG_SEQUENCE_COUNTER, writeUint(keyOwner.keySets[0]?.sequenceCounter ?? 0, 3)),
      );
    case TAG_KEY_DIVERSIFICATION_DATA:
      return response(SW.OK, encodeBer(TAG_KEY_DIVERSIFICATION_DATA, state.keyDiversificationData));
    case TAG_APPLICATIONS:
      return applications(context, domain);
    case TAG_EXTENDED_RESOURCES:
      return response(
        SW.OK,
        encodeBer(
          TAG_EXTENDED_RESOURCES,
          encodeBer(0x81, writeUint(state.instances.length, 2)),
          encodeBer(0x82, writeUint(FREE_MEMORY_BYTES, 4)),
          encodeBer(0x83, writeUint(FREE_MEMORY_BYTES >> 4, 4)),
        ),
      );
    default: {
      const stored = domain.data.find((one) => one.tag === tag);
      if (stored === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
      // What came as a DGI may have a number that is no tag: then the value goes as it is.
      return response(SW.OK, isTag(tag) ? encodeBer(tag, stored.value) : stored.value);
    }
  }
}

/** Whether a number of two bytes is a BER tag: of one byte, or of two whose first one says so. */
function isTag(tag: number): boolean {
  const several = (tag >> (tag > 0xff ? 8 : 0) & 0x1f) === 0x1f;
  return tag > 0xff ? several && (tag & 0x80) === 0 : !several && tag > 0;
}

/** List of applications: `61 { 4F AID }` each. GPC 2.3.1, 11.3.3.2. */
function applications(context: CardContext, domain: DomainState): ResponseApdu {
  let answer = new Uint8Array(0);
  for (const { aid } of visibleEntries(context.state, domain).applications) {
    const next = concat(answer, encodeBer(0x61, encodeBer(0x4f, aid)));
    if (next.length > ANSWER_MAX) break;
    answer = next as Uint8Array<ArrayBuffer>;
  }
  if (answer.length === 0) return response(SW.REFERENCED_DATA_NOT_FOUND);
  return response(SW.OK, answer);
}

/**
 * Card capability information: SCP03 with this `i` and all AES lengths, privileges that can be given, hashes of load
 * files (SHA-1, SHA-256). GPC 2.3.1, H.4.
 */
function cardCapabilities(i: number): Uint8Array {
  return encodeBer(
    TAG_CARD_CAPABILITIES,
    encodeBer(
      0xa0,
      encodeBer(0x80, Uint8Array.of(0x03)),
      encodeBer(0x81, Uint8Array.of(i)),
      encodeBer(0x82, Uint8Array.of(0x07)),
    ),
    encodeBer(0x81, Uint8Array.of(0xc1, 0xc0, 0x00)),
    encodeBer(0x82, Uint8Array.of(0x1e, 0x00, 0x00)),
    encodeBer(0x83, Uint8Array.of(0x01, 0x02)),
  );
}
