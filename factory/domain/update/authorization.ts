/**
 * The vault's sealed word that one card's upgrade was begun: what a card in the middle of it is gone on with, when its applet
 * cannot prove anything any more. Docs: decision 35.
 */

import { z } from "zod";
import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { hexBytes } from "shared/protocol/wire/attestation.ts";
import "shared/protocol/wire/update_errors.ts";

const Content = z.strictObject({
  format: z.literal("rk-upgrade-authorization-1"),
  /** Of the certificate that proved the card. */
  serial: hexBytes(4),
  certificateSha256: hexBytes(32),
  /** Whose keys the card has proven to hold, in this upgrade's first session. */
  keyDiversificationData: hexBytes(10),
  /** SHA-256 of the package file. */
  packageSha256: hexBytes(32),
  product: z.string().max(32),
  version: z.string().max(16),
  /** Version on the card before; the only other one that may be loaded. */
  replaced: z.string().max(16),
  /** Seconds since 1970. */
  at: z.int(),
});
/** Its content. */
export type UpgradeAuthorization = z.infer<typeof Content>;

/** Bound to the seal, so that nothing else that the key seals passes for one. */
export const AUTHORIZATION_CONTEXT: Uint8Array = toUtf8("recovery-key upgrade authorization, version 1");

/** Bytes to be sealed. */
export function encodeAuthorization(authorization: UpgradeAuthorization): Uint8Array {
  return toUtf8(JSON.stringify(Content.parse(authorization)));
}

/** Reads opened bytes. @throws {CodedError} `UPDATE_AUTHORIZATION`. */
export function decodeAuthorization(plain: Uint8Array): UpgradeAuthorization {
  try {
    return Content.parse(JSON.parse(fromUtf8(plain)));
  } catch {
    throw new CodedError("UPDATE_AUTHORIZATION", "Cannot go on: the authorization is none of this version");
  }
}
