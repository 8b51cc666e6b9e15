/** GET STATUS of the issuer domain. GPC 2.3.1, 11.4; layout as in the recorded answers. */

import { concat } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { encodeBer, findBer, parseBer } from "shared/protocol/tlv/ber.ts";
import type { CardContext } from "../context.ts";
import { issuerDomain } from "../registry.ts";

const SCOPE_ISSUER = 0x80;
const SCOPE_APPLICATIONS = 0x40;
const SCOPE_LOAD_FILES = 0x20;
const SCOPE_LOAD_FILES_AND_MODULES = 0x10;

const P2_NEXT = 0x01;
const P2_TLV = 0x02;
/** Most answer bytes that always fit one wrapped APDU (level 33). */
const ANSWER_MAX = 239;

interface Entry {
  readonly aid: Uint8Array;
  readonly lifeCycle: number;
  readonly privileges: Uint8Array | undefined;
  readonly packageAid: Uint8Array | undefined;
  readonly modules: readonly Uint8Array[];
  readonly domain: Uint8Array;
}

function entriesOf({ state }: CardContext, scope: number): Entry[] {
  const issuer = issuerDomain(state);
  if (scope === SCOPE_ISSUER) return [{ ...issuer, modules: [] }];
  if (scope === SCOPE_APPLICATIONS) {
    return [...state.domains.slice(1), ...state.instances].map((one) => ({ ...one, modules: [] }));
  }
  return state.packages.map((one) => ({
    aid: one.aid,
    lifeCycle: one.lifeCycle,
    privileges: undefined,
    packageAid: undefined,
    modules: scope === SCOPE_LOAD_FILES_AND_MODULES ? one.modules : [],
    domain: one.domain,
  }));
}

/** `E3` element with life cycle, privileges, package, modules and domain. GPC 2.3.1, table 11-36. */
function tlvEntry(entry: Entry): Uint8Array {
  return encodeBer(
    0xe3,
    encodeBer(0x4f, entry.aid),
    encodeBer(0x9f70, Uint8Array.of(entry.lifeCycle)),
    ...(entry.privileges === undefined ? [] : [encodeBer(0xc5, entry.privileges)]),
    ...(entry.packageAid === undefined ? [] : [encodeBer(0xc4, entry.packageAid)]),
    ...entry.modules.map((module) => encodeBer(0x84, module)),
    encodeBer(0xcc, entry.domain),
  );
}

/** The older layout without tags. GPC 2.3.1, tables 11-33 to 11-35. */
function plainEntry(entry: Entry, scope: number): Uint8Array {
  const lengthValue = (value: Uint8Array) => concat(Uint8Array.of(value.length), value);
  return concat(
    lengthValue(entry.aid),
    Uint8Array.of(entry.lifeCycle, entry.privileges?.[0] ?? 0),
    ...(scope === SCOPE_LOAD_FILES_AND_MODULES
      ? [Uint8Array.of(entry.modules.length), ...entry.modules.map(lengthValue)]
      : []),
  );
}

/**
 * Answers GET STATUS. More than fits is answered `6310`, and "get next" (P2 bit 1) continues where the entry
 * count says; the position is the number of entries already given for this scope.
 */
export function getStatus(context: CardContext, command: CommandApdu): ResponseApdu {
  const scope = command.p1;
  const known = [SCOPE_ISSUER, SCOPE_APPLICATIONS, SCOPE_LOAD_FILES, SCOPE_LOAD_FILES_AND_MODULES];
  if (!known.includes(scope) || (command.p2 & ~(P2_NEXT | P2_TLV)) !== 0) return response(SW.INCORRECT_P1P2);
  let criterion: Uint8Array | undefined;
  try {
    criterion = findBer(parseBer(command.data), 0x4f)?.value;
  } catch {
    return response(SW.WRONG_DATA);
  }
  if (criterion === undefined) return response(SW.WRONG_DATA);

  const prefix = criterion;
  const position = context.volatile.registryPosition;
  const matching = entriesOf(context, scope)
    .filter((entry) => prefix.every((byte, i) => entry.aid[i] === byte));
  const first = (command.p2 & P2_NEXT) !== 0 ? (position.scope === scope ? position.next : -1) : 0;
  if (first < 0) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (matching.length <= first) return response(SW.REFERENCED_DATA_NOT_FOUND);

  let answer = new Uint8Array(0);
  let next = first;
  for (; next < matching.length; next++) {
    const entry = matching[next]!;
    const encoded = (command.p2 & P2_TLV) !== 0 ? tlvEntry(entry) : plainEntry(entry, scope);
    if (answer.length + encoded.length > ANSWER_MAX && next > first) break;
    answer = concat(answer, encoded) as Uint8Array<ArrayBuffer>;
  }
  const more = next < matching.length;
  context.volatile.registryPosition = more ? { scope, next } : { scope: 0, next: 0 };
  return response(more ? SW.MORE_DATA_AVAILABLE : SW.OK, answer);
}
