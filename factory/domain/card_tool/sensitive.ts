/**
 * Which commands and answers hold something that no trace and no dry run may show: keys, personalization data, PINs,
 * capsules. Whatever is not known to be harmless in STORE DATA counts as secret.
 */

import { toHex } from "shared/base/bytes.ts";
import { type CommandApdu, encodeCommand } from "shared/protocol/apdu/command.ts";
import { INS_PUT_KEY, INS_STORE_DATA } from "shared/protocol/gp/constants.ts";

/** DGIs that hold nothing secret: serial, issuer public key, key control reference template. spec/card.md, section 7. */
const PUBLIC_DGIS: readonly number[] = [0x0002, 0x0036, 0x00b9];
/** P1 of STORE DATA: the data is encrypted with the DEK. */
const STORE_DATA_ENCRYPTED = 0x60;
/** Commands with a PIN or a capsule in their data, of ISO/IEC 7816-4 or the Recovery Key applet, with their names. */
const SECRET_DATA: ReadonlyMap<number, string> = new Map([
  [0x20, "PIN"],
  [0x24, "PIN"],
  [0x2c, "PIN"],
  [0xd0, "PIN capsule"],
  [0xe0, "seed capsule"],
  [0x14, "seed capsule"],
  [0x2a, "capsule"],
  [0xda, "capsule"],
  [0xe5, "PIN capsule"],
]);
/** Commands of the applet whose answer is a capsule. */
const SECRET_ANSWER: readonly number[] = [0x14, 0x2a, 0xca];
/** Class of the Recovery Key applet's commands. */
const CLA_APPLET = 0x08;

/** What is to be hidden; absent: nothing. */
export interface Sensitivity {
  /** Name of what the command's data holds. */
  readonly command?: string;
  /** Name of what the answer's data holds. */
  readonly answer?: string;
}

/** Judges a plain command. */
export function sensitivityOf(command: CommandApdu): Sensitivity {
  const { ins, data } = command;
  if (ins === INS_PUT_KEY) return { command: "PUT KEY data" };
  if (ins === INS_STORE_DATA) {
    const dgi = data.length < 2 ? -1 : data[0]! * 256 + data[1]!;
    const open = PUBLIC_DGIS.includes(dgi) && (command.p1 & STORE_DATA_ENCRYPTED) === 0;
    return open ? {} : { command: "STORE DATA" };
  }
  const name = SECRET_DATA.get(ins);
  const answers = (command.cla & CLA_APPLET) !== 0 && (command.cla & 0x80) === 0 &&
    SECRET_ANSWER.includes(ins);
  return {
    ...(name === undefined || data.length === 0 ? {} : { command: name }),
    ...(answers ? { answer: "capsule" } : {}),
  };
}

/** Marks hidden bytes inside hex. */
function hidden(length: number, what: string): string {
  return `[${what}: ${length} bytes hidden]`;
}

/** A command as hex, its data hidden where `what` names it. */
export function showCommand(command: CommandApdu, what: string | undefined): string {
  if (what === undefined || command.data.length === 0) return toHex(encodeCommand(command));
  const head = Uint8Array.of(command.cla, command.ins, command.p1, command.p2, command.data.length & 0xff);
  return `${toHex(head)}${hidden(command.data.length, what)}${
    command.le === undefined ? "" : toHex(Uint8Array.of(command.le % 256))
  }`;
}

/** Data of an answer as hex, hidden where `what` names it. */
export function showData(data: Uint8Array, what: string | undefined): string {
  return what === undefined || data.length === 0 ? toHex(data) : hidden(data.length, what);
}

/** Whether shown hex has a hidden part. */
export function isHidden(text: string): boolean {
  return text.includes("[");
}
