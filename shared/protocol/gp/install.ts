/** INSTALL in all its variants. GPC 2.3.1, 11.5. No Le, as in a_personalization.json. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu, SHORT_DATA_MAX } from "../apdu/command.ts";
import { encodeBer, encodeBerLength } from "../tlv/ber.ts";
import { checkAid, lengthValue } from "./aid.ts";
import { CLA_GP, INS_INSTALL } from "./constants.ts";
import { privilegeBytes } from "./privileges.ts";

/** P1: what is done. Section 11.5.2.1. Bits add up: install and make selectable is `0C`. */
export const INSTALL_P1 = {
  LOAD: 0x02,
  INSTALL: 0x04,
  MAKE_SELECTABLE: 0x08,
  INSTALL_AND_MAKE_SELECTABLE: 0x0c,
  EXTRADITION: 0x10,
  PERSONALIZATION: 0x20,
  REGISTRY_UPDATE: 0x40,
} as const;

const NONE = new Uint8Array(0);
/** Application specific parameters inside install parameters; required, though it may be empty. Section 11.5.2.3.7, table 11-49. */
const TAG_APPLICATION_PARAMETERS = 0xc9;

/** What every variant may say. */
export interface InstallOptions {
  /** Class byte; default `80`. SCP03 sets its own bit when it wraps. */
  readonly cla?: number;
}

/** A field whose length is written as in BER: tokens and parameters may pass 127 bytes. */
function berLengthValue(bytes: Uint8Array): Uint8Array {
  return concat(encodeBerLength(bytes.length), bytes);
}

function install(p1: number, options: InstallOptions, ...fields: Uint8Array[]): CommandApdu {
  const data = concat(...fields);
  if (data.length > SHORT_DATA_MAX) {
    throw new CodedError("GP_FIELD_LENGTH", `Cannot write INSTALL: ${data.length} bytes, not at most 255`);
  }
  return command(options.cla ?? CLA_GP, INS_INSTALL, p1, 0, data);
}

/** Package to be loaded. */
export interface InstallForLoad extends InstallOptions {
  readonly packageAid: Uint8Array;
  /** Security Domain that will own the package; absent: the selected one. */
  readonly securityDomainAid?: Uint8Array;
  /** Load File Data Block Hash; needed with a DAP. */
  readonly hash?: Uint8Array;
  /** Load parameters (EF TLVs). */
  readonly parameters?: Uint8Array;
  readonly token?: Uint8Array;
}

/** INSTALL [for load]. Section 11.5.2.3.1. @throws {CodedError} `GP_AID`, `GP_FIELD_LENGTH`. */
export function installForLoad(o: InstallForLoad): CommandApdu {
  return install(
    INSTALL_P1.LOAD,
    o,
    lengthValue(checkAid(o.packageAid)),
    lengthValue(o.securityDomainAid === undefined ? NONE : checkAid(o.securityDomainAid)),
    lengthValue(o.hash ?? NONE),
    berLengthValue(o.parameters ?? NONE),
    berLengthValue(o.token ?? NONE),
  );
}

/** Instance to be made. */
export interface InstallForInstall extends InstallOptions {
  readonly packageAid: Uint8Array;
  readonly moduleAid: Uint8Array;
  readonly instanceAid: Uint8Array;
  /** A number (see `PRIVILEGE`) or 1 or 3 bytes. */
  readonly privileges?: number | Uint8Array;
  /** Value of tag C9: what the applet's install method is given. */
  readonly applicationParameters?: Uint8Array;
  /** Further install parameter TLVs after C9 (EF, CA, EA). */
  readonly systemParameters?: Uint8Array;
  readonly token?: Uint8Array;
  /** Default `true`: install and make selectable in one (P1 `0C`); else P1 `04`. */
  readonly makeSelectable?: boolean;
}

/** INSTALL [for install], or [for install and make selectable]. Section 11.5.2.3.2. @throws {CodedError} `GP_AID`, `GP_PRIVILEGES`, `GP_FIELD_LENGTH`. */
export function installForInstall(o: InstallForInstall): CommandApdu {
  const selectable = o.makeSelectable ?? true;
  const parameters = concat(
    encodeBer(TAG_APPLICATION_PARAMETERS, o.applicationParameters ?? NONE),
    o.systemParameters ?? NONE,
  );
  return install(
    selectable ? INSTALL_P1.INSTALL_AND_MAKE_SELECTABLE : INSTALL_P1.INSTALL,
    o,
    lengthValue(checkAid(o.packageAid)),
    lengthValue(checkAid(o.moduleAid)),
    lengthValue(checkAid(o.instanceAid)),
    lengthValue(privilegeBytes(o.privileges ?? 0)),
    berLengthValue(parameters),
    berLengthValue(o.token ?? NONE),
  );
}

/** Instance to be made selectable. */
export interface InstallForMakeSelectable extends InstallOptions {
  readonly instanceAid: Uint8Array;
  readonly privileges?: number | Uint8Array;
  readonly parameters?: Uint8Array;
  readonly token?: Uint8Array;
}

/** INSTALL [for make selectable]. Section 11.5.2.3.3. @throws {CodedError} `GP_AID`, `GP_PRIVILEGES`, `GP_FIELD_LENGTH`. */
export function installForMakeSelectable(o: InstallForMakeSelectable): CommandApdu {
  return install(
    INSTALL_P1.MAKE_SELECTABLE,
    o,
    Uint8Array.of(0, 0),
    lengthValue(checkAid(o.instanceAid)),
    lengthValue(privilegeBytes(o.privileges ?? 0)),
    berLengthValue(o.parameters ?? NONE),
    berLengthValue(o.token ?? NONE),
  );
}

/** Application or package to be associated with another Security Domain. */
export interface InstallForExtradition extends InstallOptions {
  readonly securityDomainAid: Uint8Array;
  /** The application or package that moves. */
  readonly aid: Uint8Array;
  readonly parameters?: Uint8Array;
  readonly token?: Uint8Array;
}

/** INSTALL [for extradition]: association with another Security Domain. Section 11.5.2.3.4. @throws {CodedError} `GP_AID`, `GP_FIELD_LENGTH`. */
export function installForExtradition(o: InstallForExtradition): CommandApdu {
  return install(
    INSTALL_P1.EXTRADITION,
    o,
    lengthValue(checkAid(o.securityDomainAid)),
    Uint8Array.of(0),
    lengthValue(checkAid(o.aid)),
    Uint8Array.of(0),
    berLengthValue(o.parameters ?? NONE),
    berLengthValue(o.token ?? NONE),
  );
}

/** Registry entry to be changed. */
export interface InstallForRegistryUpdate extends InstallOptions {
  /** The Security Domain to associate with; absent: unchanged. */
  readonly securityDomainAid?: Uint8Array;
  /** The application; absent: the selected Security Domain's own entry. */
  readonly instanceAid?: Uint8Array;
  /** Absent: unchanged. */
  readonly privileges?: number | Uint8Array;
  readonly parameters?: Uint8Array;
  readonly token?: Uint8Array;
}

/** INSTALL [for registry update]. Section 11.5.2.3.5. @throws {CodedError} `GP_AID`, `GP_PRIVILEGES`, `GP_FIELD_LENGTH`. */
export function installForRegistryUpdate(o: InstallForRegistryUpdate): CommandApdu {
  return install(
    INSTALL_P1.REGISTRY_UPDATE,
    o,
    lengthValue(o.securityDomainAid === undefined ? NONE : checkAid(o.securityDomainAid)),
    Uint8Array.of(0),
    lengthValue(o.instanceAid === undefined ? NONE : checkAid(o.instanceAid)),
    lengthValue(o.privileges === undefined ? NONE : privilegeBytes(o.privileges)),
    berLengthValue(o.parameters ?? NONE),
    berLengthValue(o.token ?? NONE),
  );
}

/**
 * INSTALL [for personalization]: the STORE DATA that follow go to this instance. Section 11.5.2.3.6.
 * @throws {CodedError} `GP_AID`.
 */
export function installForPersonalization(
  instanceAid: Uint8Array,
  options: InstallOptions = {},
): CommandApdu {
  return install(
    INSTALL_P1.PERSONALIZATION,
    options,
    Uint8Array.of(0, 0),
    lengthValue(checkAid(instanceAid)),
    Uint8Array.of(0, 0, 0),
  );
}
