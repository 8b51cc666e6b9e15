/** DELETE: packages, applications, keys. GPC 2.3.1, 11.2. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { command, type CommandApdu } from "../apdu/command.ts";
import { encodeBer, optionalBer, parseBer } from "../tlv/ber.ts";
import { checkAid, isAid } from "./aid.ts";
import { CLA_GP, INS_DELETE } from "./constants.ts";

/** P2: with the applications of a package too. Section 11.2.2.2. */
export const P2_DELETE_RELATED = 0x80;

/** What a DELETE may say besides the AID. */
export interface DeleteOptions {
  readonly cla?: number;
  /** Delete the applications of the package too. */
  readonly related?: boolean;
  /** Delete token, tag 9E. */
  readonly token?: Uint8Array;
}

/** DELETE [card content]. Section 11.2.2.3.1. @throws {CodedError} `GP_AID`. */
export function deleteCommand(aid: Uint8Array, options: DeleteOptions = {}): CommandApdu {
  const token = options.token === undefined ? new Uint8Array(0) : encodeBer(0x9e, options.token);
  const data = concat(encodeBer(0x4f, checkAid(aid)), token);
  return command(options.cla ?? CLA_GP, INS_DELETE, 0, options.related ? P2_DELETE_RELATED : 0, data);
}

/** DELETE [key] of a whole key version. Section 11.2.2.3.2. */
export function deleteKeyVersionCommand(
  version: number,
  options: { readonly cla?: number } = {},
): CommandApdu {
  return command(options.cla ?? CLA_GP, INS_DELETE, 0, 0, encodeBer(0xd2, Uint8Array.of(version)));
}

/** What a DELETE asks for. */
export type Deletion =
  | { readonly kind: "content"; readonly aid: Uint8Array; readonly related: boolean }
  | { readonly kind: "key"; readonly id: number | undefined; readonly version: number | undefined };

/** The card's reading of DELETE. @throws {CodedError} `GP_COMMAND`, `TLV_*` (6A80). */
export function parseDelete(apdu: CommandApdu): Deletion {
  const elements = parseBer(apdu.data);
  const aid = optionalBer(elements, 0x4f)?.value;
  if (aid !== undefined) {
    if (!isAid(aid)) throw new CodedError("GP_COMMAND", `Cannot read DELETE: AID of ${aid.length} bytes`);
    return { kind: "content", aid: aid.slice(), related: (apdu.p2 & P2_DELETE_RELATED) !== 0 };
  }
  const id = optionalBer(elements, 0xd0)?.value[0];
  const version = optionalBer(elements, 0xd2)?.value[0];
  if (id === undefined && version === undefined) {
    throw new CodedError("GP_COMMAND", "Cannot read DELETE: it names nothing");
  }
  return { kind: "key", id, version };
}
