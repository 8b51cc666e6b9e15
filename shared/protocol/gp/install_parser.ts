/** The card's reading of INSTALL. GPC 2.3.1, 11.5. */

import { CodedError } from "../../base/errors.ts";
import type { CommandApdu } from "../apdu/command.ts";
import { optionalBer, parseBer } from "../tlv/ber.ts";
import { isAid } from "./aid.ts";
import { INSTALL_P1 } from "./install.ts";
import { decodePrivileges } from "./privileges.ts";

/** What an INSTALL command asks for. Empty byte strings: the field is there with length 0. */
export type Install =
  | {
    readonly kind: "load";
    readonly packageAid: Uint8Array;
    readonly securityDomainAid: Uint8Array | undefined;
    readonly hash: Uint8Array;
    readonly parameters: Uint8Array;
    readonly token: Uint8Array;
  }
  | {
    readonly kind: "install";
    readonly makeSelectable: boolean;
    readonly packageAid: Uint8Array;
    readonly moduleAid: Uint8Array;
    readonly instanceAid: Uint8Array;
    readonly privileges: number;
    /** All install parameters. */
    readonly parameters: Uint8Array;
    /** Value of C9. */
    readonly applicationParameters: Uint8Array;
    readonly token: Uint8Array;
  }
  | {
    readonly kind: "make-selectable";
    readonly instanceAid: Uint8Array;
    readonly privileges: number;
    readonly parameters: Uint8Array;
    readonly token: Uint8Array;
  }
  | {
    readonly kind: "extradition";
    readonly securityDomainAid: Uint8Array;
    readonly aid: Uint8Array;
    readonly parameters: Uint8Array;
    readonly token: Uint8Array;
  }
  | {
    readonly kind: "registry-update";
    readonly securityDomainAid: Uint8Array | undefined;
    readonly instanceAid: Uint8Array | undefined;
    readonly privileges: number | undefined;
    readonly parameters: Uint8Array;
    readonly token: Uint8Array;
  }
  | { readonly kind: "personalization"; readonly instanceAid: Uint8Array };

function malformed(what: string): CodedError {
  return new CodedError("GP_COMMAND", `Cannot read INSTALL: ${what}`);
}

/** Length-prefixed fields, front to back. */
class Fields {
  #offset = 0;
  constructor(readonly bytes: Uint8Array) {}

  #byte(): number {
    const byte = this.bytes[this.#offset++];
    if (byte === undefined) throw malformed("it ends before a length");
    return byte;
  }

  #take(length: number): Uint8Array {
    const end = this.#offset + length;
    if (end > this.bytes.length) throw malformed("it ends inside a field");
    const value = this.bytes.slice(this.#offset, end);
    this.#offset = end;
    return value;
  }

  value(): Uint8Array {
    return this.#take(this.#byte());
  }

  /** A field whose length is one byte up to 7F, else 81 or 82 and the length. */
  berValue(): Uint8Array {
    let length = this.#byte();
    if (length === 0x81) length = this.#byte();
    else if (length === 0x82) length = this.#byte() * 256 + this.#byte();
    else if (length > 0x7f) throw malformed("a length is not definite");
    return this.#take(length);
  }

  optionalAid(): Uint8Array | undefined {
    const aid = this.value();
    if (aid.length === 0) return undefined;
    if (!isAid(aid)) throw malformed(`an AID has ${aid.length} bytes`);
    return aid;
  }

  aid(): Uint8Array {
    const aid = this.optionalAid();
    if (aid === undefined) throw malformed("an AID is missing");
    return aid;
  }

  empty(): void {
    if (this.value().length !== 0) throw malformed("a field that must be empty is not");
  }

  privileges(): number {
    const bytes = this.value();
    if (bytes.length !== 1 && bytes.length !== 3) throw malformed(`privileges have ${bytes.length} bytes`);
    return decodePrivileges(bytes);
  }

  optionalPrivileges(): number | undefined {
    if (this.bytes[this.#offset] !== 0) return this.privileges();
    this.empty();
    return undefined;
  }

  end(): void {
    if (this.#offset !== this.bytes.length) throw malformed("bytes follow its last field");
  }
}

/** Reads the fields of one variant; `done` checks that nothing is left. */
function read(p1: number, fields: Fields): Install {
  switch (p1) {
    case INSTALL_P1.LOAD:
      return {
        kind: "load",
        packageAid: fields.aid(),
        securityDomainAid: fields.optionalAid(),
        hash: fields.value(),
        parameters: fields.berValue(),
        token: fields.berValue(),
      };
    case INSTALL_P1.INSTALL:
    case INSTALL_P1.INSTALL_AND_MAKE_SELECTABLE: {
      const packageAid = fields.aid();
      const moduleAid = fields.aid();
      const instanceAid = fields.aid();
      const privileges = fields.privileges();
      const parameters = fields.berValue();
      return {
        kind: "install",
        makeSelectable: p1 === INSTALL_P1.INSTALL_AND_MAKE_SELECTABLE,
        packageAid,
        moduleAid,
        instanceAid,
        privileges,
        parameters,
        applicationParameters: optionalBer(parseBer(parameters), 0xc9)?.value ?? new Uint8Array(0),
        token: fields.berValue(),
      };
    }
    case INSTALL_P1.MAKE_SELECTABLE:
      fields.empty();
      fields.empty();
      return {
        kind: "make-selectable",
        instanceAid: fields.aid(),
        privileges: fields.privileges(),
        parameters: fields.berValue(),
        token: fields.berValue(),
      };
    case INSTALL_P1.EXTRADITION: {
      const securityDomainAid = fields.aid();
      fields.empty();
      const aid = fields.aid();
      fields.empty();
      return {
        kind: "extradition",
        securityDomainAid,
        aid,
        parameters: fields.berValue(),
        token: fields.berValue(),
      };
    }
    case INSTALL_P1.REGISTRY_UPDATE: {
      const securityDomainAid = fields.optionalAid();
      fields.empty();
      return {
        kind: "registry-update",
        securityDomainAid,
        instanceAid: fields.optionalAid(),
        privileges: fields.optionalPrivileges(),
        parameters: fields.berValue(),
        token: fields.berValue(),
      };
    }
    case INSTALL_P1.PERSONALIZATION: {
      fields.empty();
      fields.empty();
      const instanceAid = fields.aid();
      fields.empty();
      fields.empty();
      fields.empty();
      return { kind: "personalization", instanceAid };
    }
    default:
      throw new CodedError("GP_COMMAND", "Cannot read INSTALL: P1 names no variant that this card knows", {
        parameters: true,
      });
  }
}

/**
 * Reads INSTALL by its P1; class, P2 and security level are the caller's to check.
 * @throws {CodedError} `GP_COMMAND` (details `parameters: true` when P1 is at fault: answer 6A86, else 6A80), or a
 * `TLV_*` code from the install parameters.
 */
export function parseInstall(apdu: CommandApdu): Install {
  const fields = new Fields(apdu.data);
  const install = read(apdu.p1, fields);
  fields.end();
  return install;
}
