/** DELETE of an application, a domain or a package. GPC 2.3.1, 11.2. Keys are replaced by PUT KEY, not deleted. */

import { equal } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { parseBer } from "shared/protocol/tlv/ber.ts";
import type { CardContext } from "../context.ts";
import { findDomain, findInstance, findPackage, issuerDomain } from "../registry.ts";
import type { DomainState } from "../state.ts";

const AND_RELATED = 0x80;

/** Executes DELETE at the issuer domain. What is still used by something else stays (`6985`). */
export function deleteObject(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  const { state } = context;
  const issuer = issuerDomain(state);
  if (!equal(domain.aid, issuer.aid)) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (command.p1 !== 0 || (command.p2 & ~AND_RELATED) !== 0) return response(SW.INCORRECT_P1P2);
  let aid: Uint8Array;
  try {
    const [element] = parseBer(command.data);
    if (element?.tag !== 0x4f) return response(SW.WRONG_DATA);
    aid = element.value.slice();
  } catch {
    return response(SW.WRONG_DATA);
  }
  const done = () => response(SW.OK, Uint8Array.of(0));
  if (findInstance(state, aid) !== undefined) {
    context.state = { ...state, instances: state.instances.filter((one) => !equal(one.aid, aid)) };
    return done();
  }
  if (findDomain(state, aid) !== undefined) {
    const used = [...state.instances, ...state.packages].some((one) => equal(one.domain, aid));
    if (used || equal(aid, issuer.aid)) return response(SW.CONDITIONS_NOT_SATISFIED);
    context.state = { ...state, domains: state.domains.filter((one) => !equal(one.aid, aid)) };
    return done();
  }
  if (findPackage(state, aid) === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  const instances = state.instances.filter((one) => !equal(one.packageAid, aid));
  if (instances.length < state.instances.length && (command.p2 & AND_RELATED) === 0) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  context.state = { ...state, instances, packages: state.packages.filter((one) => !equal(one.aid, aid)) };
  return done();
}
