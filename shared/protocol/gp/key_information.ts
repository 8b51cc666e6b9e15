/** Key information template (tag E0): which keys a Security Domain holds. GPC 2.3.1, 11.3.3.1. */

import { writeUint } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { encodeBer, parseBer, requireBer } from "../tlv/ber.ts";
import { CLA_GP, INS_GET_DATA } from "./constants.ts";
import "./errors.ts";

/** One key. */
export interface KeyInformation {
  readonly id: number;
  readonly version: number;
  /** Most keys have one component. */
  readonly components: readonly KeyComponent[];
}

/** One component of a key. */
export interface KeyComponent {
  /** `0x88` AES. Section 11.1.8. In the extended form the second byte of the type. */
  readonly type: number;
  /** In bytes. */
  readonly length: number;
}

/** GET DATA of the key information template. */
export function getKeyInformationCommand(cla: number = CLA_GP): CommandApdu {
  return command(cla, INS_GET_DATA, 0x00, 0xe0, undefined, 256);
}

function parseKey(value: Uint8Array): KeyInformation {
  const fault = () => new CodedError("GP_ANSWER", `Cannot read key information: C0 of ${value.length} bytes`);
  const [id, version] = value;
  if (id === undefined || version === undefined || value.length < 4) throw fault();
  const components: KeyComponent[] = [];
  if (value[2] === 0xff) {
    // Extended form: FF type, 2-byte length, for each; then usage and access, each with its length.
    let offset = 2;
    for (; value[offset] === 0xff; offset += 4) {
      if (offset + 4 > value.length) throw fault();
      components.push({ type: value[offset + 1]!, length: value[offset + 2]! * 256 + value[offset + 3]! });
    }
    for (let field = 0; field < 2 && offset < value.length; field++) offset += 1 + value[offset]!;
    if (offset !== value.length) throw fault();
  } else {
    if (value.length % 2 !== 0) throw fault();
    for (let offset = 2; offset < value.length; offset += 2) {
      components.push({ type: value[offset]!, length: value[offset + 1]! });
    }
  }
  return { id, version, components };
}

/** Reads the answer to GET DATA E0. @throws {CodedError} `TLV_*`, `GP_ANSWER`. */
export function parseKeyInformation(data: Uint8Array): KeyInformation[] {
  return requireBer(parseBer(data), 0xe0).children().map((element) => {
    if (element.tag !== 0xc0) throw new CodedError("GP_ANSWER", "Cannot read key information: tag is not C0");
    return parseKey(element.value);
  });
}

/** Writes the template in the short form. @throws {CodedError} `BYTES_RANGE`. */
export function encodeKeyInformation(keys: readonly KeyInformation[]): Uint8Array {
  return encodeBer(
    0xe0,
    ...keys.map((key) =>
      encodeBer(
        0xc0,
        writeUint(key.id, 1),
        writeUint(key.version, 1),
        ...key.components.flatMap(({ type, length }) => [writeUint(type, 1), writeUint(length, 1)]),
      )
    ),
  );
}

/** Key versions that occur, ascending. */
export function keyVersions(keys: readonly KeyInformation[]): number[] {
  return [...new Set(keys.map((key) => key.version))].sort((a, b) => a - b);
}
