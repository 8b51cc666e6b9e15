/** DELETE of applications, domains, packages and keys. GPC 2.3.1, 11.2. */

import { equal } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { type Deletion, P2_DELETE_RELATED, parseDelete } from "shared/protocol/gp/delete.ts";
import type { CardContext } from "../context.ts";
import {
  belongsTo,
  findDomain,
  findInstance,
  findPackage,
  isPrivileged,
  issuerDomain,
  withDomain,
} from "../registry.ts";
import type { CardState, DomainState } from "../state.ts";
import { withoutKeys } from "./keys.ts";
import { manages } from "./management.ts";

/** The data of a success: no confirmation follows. Section 11.2.3.1. */
const NO_CONFIRMATION = Uint8Array.of(0);

/** Executes DELETE. What is still used by something else stays (`6985`). */
export function deleteObject(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  if (command.p1 !== 0 || (command.p2 & ~P2_DELETE_RELATED) !== 0) return response(SW.INCORRECT_P1P2);
  let deletion: Deletion;
  try {
    deletion = parseDelete(command);
  } catch {
    return response(SW.WRONG_DATA);
  }
  const outcome = deletion.kind === "key"
    ? withoutNamedKeys(context.state, domain, deletion)
    : withoutContent(context.state, domain, deletion);
  if (typeof outcome === "number") return response(outcome);
  context.state = outcome;
  return response(SW.OK, NO_CONFIRMATION);
}

/** DELETE [key]: any domain deletes its own. The last key set of the ISD stays: without it nobody could come back. */
function withoutNamedKeys(
  state: CardState,
  domain: DomainState,
  { id, version }: Extract<Deletion, { kind: "key" }>,
): CardState | number {
  const left = withoutKeys(domain, { id, version });
  const count = (one: DomainState) =>
    one.otherKeys.length +
    one.keySets.flatMap(({ enc, mac, dek }) => [enc, mac, dek]).filter((key) => key !== null).length;
  if (count(left) === count(domain)) return SW.REFERENCED_DATA_NOT_FOUND;
  const isIssuer = equal(domain.aid, issuerDomain(state).aid);
  if (isIssuer && left.keySets.length === 0) return SW.CONDITIONS_NOT_SATISFIED;
  return withDomain(state, left);
}

function withoutContent(
  state: CardState,
  domain: DomainState,
  { aid, related }: Extract<Deletion, { kind: "content" }>,
): CardState | number {
  const named = findInstance(state, aid) ?? findDomain(state, aid) ?? findPackage(state, aid);
  if (named === undefined) return SW.REFERENCED_DATA_NOT_FOUND;
  const may = isPrivileged(domain, PRIVILEGE.GLOBAL_DELETE) ||
    (manages(domain) && belongsTo(state, named, domain.aid));
  if (!may) return SW.CONDITIONS_NOT_SATISFIED;
  if (findInstance(state, aid) !== undefined) {
    return { ...state, instances: state.instances.filter((one) => !equal(one.aid, aid)) };
  }
  return findDomain(state, aid) !== undefined
    ? withoutDomain(state, aid, related)
    : withoutPackage(state, aid, related);
}

/** A domain goes when nothing belongs to it, or with all that does. Section 11.2.2.2. */
function withoutDomain(state: CardState, aid: Uint8Array, related: boolean): CardState | number {
  if (equal(aid, issuerDomain(state).aid)) return SW.CONDITIONS_NOT_SATISFIED;
  const goes = (one: { aid: Uint8Array; domain: Uint8Array }) =>
    equal(one.aid, aid) || belongsTo(state, one, aid);
  const all = [...state.domains, ...state.instances, ...state.packages];
  if (!related && all.some((one) => !equal(one.aid, aid) && goes(one))) return SW.CONDITIONS_NOT_SATISFIED;
  const left = {
    ...state,
    domains: state.domains.filter((one) => !goes(one)),
    instances: state.instances.filter((one) => !goes(one)),
    packages: state.packages.filter((one) => !goes(one)),
  };
  // An instance of another domain may still run code of a package that would go.
  const orphaned = left.instances.some((one) =>
    findPackage(state, one.packageAid) !== undefined && findPackage(left, one.packageAid) === undefined
  );
  return orphaned ? SW.CONDITIONS_NOT_SATISFIED : left;
}

/** A package goes when it has no instance, or with its instances, and when no other package uses it. */
function withoutPackage(state: CardState, aid: Uint8Array, related: boolean): CardState | number {
  const instances = state.instances.filter((one) => !equal(one.packageAid, aid));
  if (instances.length < state.instances.length && !related) return SW.CONDITIONS_NOT_SATISFIED;
  const packages = state.packages.filter((one) => !equal(one.aid, aid));
  const used = packages.some((one) => one.imports.some((imported) => equal(imported, aid)));
  return used ? SW.CONDITIONS_NOT_SATISFIED : { ...state, instances, packages };
}
