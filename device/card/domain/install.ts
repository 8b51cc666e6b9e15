/** INSTALL. GPC 2.3.1, 11.5; card page, section 7 steps 3 and 4. */

import { equal, writeUint } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { type Install, parseInstall } from "shared/protocol/gp/install_parser.ts";
import { LOAD_START } from "shared/protocol/gp/load_parser.ts";
import {
  APPLICATION_INSTALLED,
  APPLICATION_SELECTABLE,
  PRIVILEGE_SECURITY_DOMAIN,
  SSD_MODULE_AID,
  SSD_PACKAGE_AID,
} from "../constants.ts";
import type { CardContext } from "../context.ts";
import {
  findDomain,
  findInstance,
  findPackage,
  isAidTaken,
  issuerDomain,
  withDomain,
  withInstance,
} from "../registry.ts";
import { type DomainState, freshRecoveryKey, isRecoveryKeyModule } from "../state.ts";

const PRIVILEGES_LENGTH = 3;
const SHA1_LENGTH = 20;
const SHA256_LENGTH = 32;

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
  // Only the issuer domain has Authorized Management: the SSD cannot load, install or upgrade (card page, 1).
  if (!equal(domain.aid, issuerDomain(context.state).aid)) return response(SW.CONDITIONS_NOT_SATISFIED);
  switch (request.kind) {
    case "load":
      return forLoad(context, domain, request);
    case "install":
      return forInstall(context, request);
    case "make-selectable":
      return forMakeSelectable(context, request);
    case "extradition":
      return forExtradition(context, request);
    default:
      return response(SW.FUNCTION_NOT_SUPPORTED);
  }
}

type Request<K extends Install["kind"]> = Extract<Install, { kind: K }>;

function forLoad(context: CardContext, domain: DomainState, request: Request<"load">): ResponseApdu {
  const { packageAid, securityDomainAid, hash } = request;
  if (![0, SHA1_LENGTH, SHA256_LENGTH].includes(hash.length)) return response(SW.WRONG_DATA);
  const target = securityDomainAid === undefined ? domain : findDomain(context.state, securityDomainAid);
  if (target === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (isAidTaken(context.state, packageAid)) return response(SW.CONDITIONS_NOT_SATISFIED);
  context.volatile.load = { packageAid, domain: target.aid, hash, progress: LOAD_START };
  return done();
}

function forInstall(context: CardContext, request: Request<"install">): ResponseApdu {
  const { packageAid, moduleAid, instanceAid: aid } = request;
  const { state } = context;
  if (isAidTaken(state, aid)) return response(SW.WRONG_DATA);
  const privileges = writeUint(request.privileges, PRIVILEGES_LENGTH);
  const lifeCycle = request.makeSelectable ? APPLICATION_SELECTABLE : APPLICATION_INSTALLED;
  const issuer = issuerDomain(state).aid;

  if (equal(packageAid, SSD_PACKAGE_AID)) {
    if (!equal(moduleAid, SSD_MODULE_AID)) return response(SW.REFERENCED_DATA_NOT_FOUND);
    if ((privileges[0]! & PRIVILEGE_SECURITY_DOMAIN) === 0) return response(SW.WRONG_DATA);
    const domain = { aid, domain: issuer, packageAid, moduleAid, lifeCycle, privileges, keySets: [] };
    context.state = { ...state, domains: [...state.domains, domain] };
    return done();
  }

  const loaded = findPackage(state, packageAid);
  if (loaded === undefined || !loaded.modules.some((module) => equal(module, moduleAid))) {
    return response(SW.REFERENCED_DATA_NOT_FOUND);
  }
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

function forMakeSelectable(context: CardContext, request: Request<"make-selectable">): ResponseApdu {
  const { state } = context;
  const instance = findInstance(state, request.instanceAid);
  const domain = findDomain(state, request.instanceAid);
  const found = instance ?? domain;
  if (found === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (found.lifeCycle !== APPLICATION_INSTALLED) return response(SW.CONDITIONS_NOT_SATISFIED);
  context.state = instance !== undefined
    ? withInstance(state, { ...instance, lifeCycle: APPLICATION_SELECTABLE })
    : withDomain(state, { ...domain!, lifeCycle: APPLICATION_SELECTABLE });
  return done();
}

/** Moves an application or a package to another domain. GPC 2.3.1, 11.5.2.3.4. */
function forExtradition(context: CardContext, request: Request<"extradition">): ResponseApdu {
  const { state } = context;
  const { aid } = request;
  const target = findDomain(state, request.securityDomainAid);
  if (target === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  const instance = findInstance(state, aid);
  if (instance !== undefined) {
    context.state = withInstance(state, { ...instance, domain: target.aid });
    return done();
  }
  if (findPackage(state, aid) === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  context.state = {
    ...state,
    packages: state.packages.map((one) => equal(one.aid, aid) ? { ...one, domain: target.aid } : one),
  };
  return done();
}

function forPersonalization(
  context: CardContext,
  domain: DomainState,
  request: Request<"personalization">,
): ResponseApdu {
  const instance = findInstance(context.state, request.instanceAid);
  if (instance === undefined) return response(SW.REFERENCED_DATA_NOT_FOUND);
  if (!equal(instance.domain, domain.aid)) return response(SW.CONDITIONS_NOT_SATISFIED);
  context.volatile.personalizing = instance.aid;
  return done();
}
