/** INSTALL. GPC 2.3.1, 11.5; card page, section 7 steps 3 and 4. */

import { equal, writeUint } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { hasPrivilege, PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { type Install, parseInstall } from "shared/protocol/gp/install_parser.ts";
import { LOAD_START } from "shared/protocol/gp/load_parser.ts";
import {
  APPLICATION_INSTALLED,
  APPLICATION_SELECTABLE,
  LOCKED_BIT,
  SSD_MODULE_AID,
  SSD_PACKAGE_AID,
} from "../constants.ts";
import type { CardContext } from "../context.ts";
import {
  belongsTo,
  findDomain,
  findInstance,
  findPackage,
  isAidTaken,
  withDomain,
  withInstance,
  withPackage,
} from "../registry.ts";
import { type DomainState, freshRecoveryKey, isRecoveryKeyModule } from "../state.ts";
import { UPGRADE_MOVES } from "../upgrade/machine.ts";
import type { UpgradeState } from "../upgrade/phases.ts";
import { openUpgrade } from "../upgrade/session.ts";
import { checkingDomains } from "./dap.ts";
import { isLockedDomain, manages } from "./management.ts";

const PRIVILEGES_LENGTH = 3;
const SHA1_LENGTH = 20;
const SHA256_LENGTH = 32;
/** Applications, domains and packages at most, each. */
const ENTRIES_MAX = 64;

/** Privileges that only a security domain can have, beyond being one. GPC 2.3.1, table 11-7. */
const DOMAIN_ONLY = (PRIVILEGE.MANDATED_DAP_VERIFICATION | PRIVILEGE.DELEGATED_MANAGEMENT |
  PRIVILEGE.AUTHORIZED_MANAGEMENT | PRIVILEGE.TOKEN_VERIFICATION | PRIVILEGE.RECEIPT_GENERATION |
  PRIVILEGE.CIPHERED_LOAD_FILE_DATA_BLOCK) & ~PRIVILEGE.SECURITY_DOMAIN;
/** Privileges that one application of the card has, here the ISD. Section 6.6.2. */
const ISSUER_ONLY = PRIVILEGE.FINAL_APPLICATION | PRIVILEGE.CARD_RESET;

/** The data of a success: no confirmation follows. GPC 2.3.1, 11.5.3.1. */
const NO_CONFIRMATION = Uint8Array.of(0);
const done = () => response(SW.OK, NO_CONFIRMATION);

/** Executes INSTALL at a domain whose session is open. */
export function install(context: CardContext, domain: DomainState, command: CommandApdu): ResponseApdu {
  if (command.p2 !== 0) return response(SW.INCORRECT_P1P2);
  let request: Install;
  try {
    request = parseInstall(command);
  } catch (error) {
    const aboutP1 = error instanceof CodedError && error.details.parameters === true;
    return response(aboutP1 ? SW.INCORRECT_P1P2 : SW.WRONG_DATA);
  }
  if (request.kind === "personalization") return forPersonalization(context, domain, request);
  // Loading, installing and moving need Authorized Management: the SSD cannot (card page, 1).
  if (!manages(domain)) return response(SW.CONDITIONS_NOT_SATISFIED);
  switch (request.kind) {
    case "load":
      return forLoad(context, domain, request);
    case "install":
      return forInstall(context, domain, request);
    case "make-selectable":
      return forMakeSelectable(context, domain, request);
    case "extradition":
      return forExtradition(context, domain, request);
    case "registry-update":
      return forRegistryUpdate(context, domain, request);
  }
}

type Request<K extends Install["kind"]> = Extract<Install, { kind: K }>;

function forLoad(context: CardContext, domain: DomainState, request: Request<"load">): ResponseApdu {
  const { state } = context;
  const { packageAid, securityDomainAid, hash } = request;
  if (![0, SHA1_LENGTH, SHA256_LENGTH].includes(hash.length)) return response(SW.WRONG_DATA);
  const session = openUpgrade(state);
  if (session !== undefined && !isLoadOfUpgrade(session, domain, request)) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  // An upgraded package stays in its domain.
  const named = securityDomainAid ?? session?.packageDomain;
  const target = named === undefined ? domain : findDomain(state, named);
  if (target === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (isAidTaken(state, packageAid) || isLockedDomain(state, target)) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  if (state.packages.length >= ENTRIES_MAX) return response(SW.NOT_ENOUGH_MEMORY);
  // A signed load names its hash here, over which the signature is. GPC 2.3.1, 11.5.2.3.1 and C.3.
  if (hash.length !== SHA256_LENGTH && checkingDomains(state, target.aid).length > 0) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  context.volatile.series = {
    kind: "load",
    load: { packageAid, domain: target.aid, hash, progress: LOAD_START },
  };
  return done();
}

/** Whether a package may come into an upgrade session: its own, from the domain that opened it, while it waits for one. */
function isLoadOfUpgrade(session: UpgradeState, domain: DomainState, request: Request<"load">): boolean {
  const { packageAid, securityDomainAid } = request;
  return UPGRADE_MOVES[session.status].load !== undefined && equal(session.domain, domain.aid) &&
    equal(session.packageAid, packageAid) &&
    (securityDomainAid === undefined || equal(securityDomainAid, session.packageDomain));
}

/** Whether privileges can be given to an application that is installed. */
function arePrivilegesSound(privileges: number, isDomain: boolean): boolean {
  if ((privileges & ISSUER_ONLY) !== 0) return false;
  if (isDomain !== hasPrivilege(privileges, PRIVILEGE.SECURITY_DOMAIN)) return false;
  if (!isDomain) return (privileges & DOMAIN_ONLY) === 0;
  // Mandated DAP means DAP; Authorized and Delegated Management exclude each other. Tables 11-7 and 6.6.2.
  const dap = PRIVILEGE.DAP_VERIFICATION;
  const mandated = PRIVILEGE.MANDATED_DAP_VERIFICATION & ~dap;
  if ((privileges & mandated) !== 0 && !hasPrivilege(privileges, dap)) return false;
  return !(hasPrivilege(privileges, PRIVILEGE.AUTHORIZED_MANAGEMENT) &&
    hasPrivilege(privileges, PRIVILEGE.DELEGATED_MANAGEMENT));
}

function forInstall(context: CardContext, domain: DomainState, request: Request<"install">): ResponseApdu {
  const { packageAid, moduleAid, instanceAid: aid } = request;
  const { state } = context;
  if (isAidTaken(state, aid)) return response(SW.WRONG_DATA);
  if (state.domains.length + state.instances.length >= ENTRIES_MAX) return response(SW.NOT_ENOUGH_MEMORY);
  const privileges = writeUint(request.privileges, PRIVILEGES_LENGTH);
  const lifeCycle = request.makeSelectable ? APPLICATION_SELECTABLE : APPLICATION_INSTALLED;

  if (equal(packageAid, SSD_PACKAGE_AID)) {
    if (!equal(moduleAid, SSD_MODULE_AID)) return response(SW.REFERENCED_DATA_NOT_FOUND);
    if (!arePrivilegesSound(request.privileges, true)) return response(SW.WRONG_DATA);
    const entry = { aid, domain: domain.aid, packageAid, moduleAid, lifeCycle, privileges };
    context.state = {
      ...state,
      domains: [...state.domains, { ...entry, keySets: [], otherKeys: [], data: [] }],
    };
    return done();
  }

  const loaded = findPackage(state, packageAid);
  if (loaded === undefined || !loaded.modules.some((module) => equal(module, moduleAid))) {
    return response(SW.REFERENCED_DATA_NOT_FOUND);
  }
  if (!belongsTo(state, loaded, domain.aid)) return response(SW.CONDITIONS_NOT_SATISFIED);
  if (!arePrivilegesSound(request.privileges, false)) return response(SW.WRONG_DATA);
  context.state = {
    ...state,
    instances: [...state.instances, {
      aid,
      // An application belongs to the domain of its package until it is extradited. GPC 2.3.1, 7.2.
      domain: loaded.domain,
      packageAid,
      moduleAid,
      lifeCycle,
      privileges,
      recoveryKey: isRecoveryKeyModule(packageAid, moduleAid) ? freshRecoveryKey(loaded.version) : null,
    }],
  };
  return done();
}

function forMakeSelectable(
  context: CardContext,
  domain: DomainState,
  request: Request<"make-selectable">,
): ResponseApdu {
  const { state } = context;
  const instance = findInstance(state, request.instanceAid);
  const found = instance ?? findDomain(state, request.instanceAid);
  if (found === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (!belongsTo(state, found, domain.aid) || found.lifeCycle !== APPLICATION_INSTALLED) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  context.state = "keySets" in found
    ? withDomain(state, { ...found, lifeCycle: APPLICATION_SELECTABLE })
    : withInstance(state, { ...found, lifeCycle: APPLICATION_SELECTABLE });
  return done();
}

/** Moves an application, a domain or a package to another domain. GPC 2.3.1, 11.5.2.3.4. */
function forExtradition(
  context: CardContext,
  domain: DomainState,
  request: Request<"extradition">,
): ResponseApdu {
  const moved = extradite(context, domain, request.aid, request.securityDomainAid);
  return moved === undefined ? done() : response(moved);
}

/** @returns the status word to refuse with. */
function extradite(
  context: CardContext,
  domain: DomainState,
  aid: Uint8Array,
  targetAid: Uint8Array,
): number | undefined {
  const { state } = context;
  const target = findDomain(state, targetAid);
  const instance = findInstance(state, aid);
  const moved = findDomain(state, aid);
  const loaded = findPackage(state, aid);
  const entry = instance ?? moved ?? loaded;
  if (target === undefined || entry === undefined) return SW.REFERENCED_DATA_NOT_FOUND;
  if (!belongsTo(state, entry, domain.aid) || isLockedDomain(state, target)) {
    return SW.CONDITIONS_NOT_SATISFIED;
  }
  if (target.lifeCycle === APPLICATION_INSTALLED) return SW.CONDITIONS_NOT_SATISFIED;
  if (instance !== undefined) context.state = withInstance(state, { ...instance, domain: target.aid });
  else if (moved !== undefined) {
    // Not into itself, nor into a domain below it; the ISD stays where it is.
    const below = equal(target.aid, aid) || belongsTo(state, target, aid);
    if (below || moved === state.domains[0]) return SW.CONDITIONS_NOT_SATISFIED;
    context.state = withDomain(state, { ...moved, domain: target.aid });
  } else if (loaded !== undefined) context.state = withPackage(state, { ...loaded, domain: target.aid });
  return undefined;
}

/** Changes privileges of an application, or its domain, or both. GPC 2.3.1, 11.5.2.3.5. */
function forRegistryUpdate(
  context: CardContext,
  domain: DomainState,
  request: Request<"registry-update">,
): ResponseApdu {
  const { state } = context;
  const { instanceAid, privileges, securityDomainAid } = request;
  const found = instanceAid === undefined
    ? undefined
    : findInstance(state, instanceAid) ?? findDomain(state, instanceAid);
  if (found === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (found === state.domains[0] || !belongsTo(state, found, domain.aid)) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  if (privileges !== undefined) {
    if (!arePrivilegesSound(privileges, "keySets" in found)) return response(SW.WRONG_DATA);
    const bytes = writeUint(privileges, PRIVILEGES_LENGTH);
    context.state = "keySets" in found
      ? withDomain(state, { ...found, privileges: bytes })
      : withInstance(state, { ...found, privileges: bytes });
  }
  const moved = securityDomainAid && extradite(context, domain, found.aid, securityDomainAid);
  if (moved === undefined) return done();
  context.state = state;
  return response(moved);
}

function forPersonalization(
  context: CardContext,
  domain: DomainState,
  request: Request<"personalization">,
): ResponseApdu {
  const instance = findInstance(context.state, request.instanceAid);
  if (instance === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  // A locked application takes no data. GPC 2.3.1, 5.3.1.4.
  const locked = (instance.lifeCycle & LOCKED_BIT) !== 0;
  if (locked || !equal(instance.domain, domain.aid)) return response(SW.CONDITIONS_NOT_SATISFIED);
  context.volatile.series = { kind: "personalize", aid: instance.aid };
  return done();
}
