/** Refusals of the device as status words (spec/recover.md, section 2): 6982 cryptography, 6985 order, 6A80 format. */

import { CodedError } from "shared/base/errors.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import "shared/crypto/errors.ts";
import "shared/protocol/recover/errors.ts";
import "shared/protocol/recovery_key/errors.ts";

/** A refusal by status word. */
export class DeviceRefusal extends Error {
  constructor(readonly sw: number) {
    super(`refused: ${sw.toString(16)}`);
  }
}

const CRYPTOGRAPHY: readonly string[] = [
  "CRYPTO_POINT",
  "CRYPTO_SIGNATURE",
  "RECOVER_SEALED",
  "RECOVER_CERTIFICATE",
  "RECOVER_POINT",
  "RECOVER_SCALAR",
  "RECOVER_SHARE",
  "RECOVER_SHARES_SAME",
  "RECOVER_ENTROPY",
];
const FORMAT: readonly string[] = [
  "RECOVER_MALFORMED",
  "RECOVER_IDENTITY",
  "RECOVER_FIELD",
  "RK_MALFORMED",
  "RK_FIELD",
];

/** The status word of a failure; undefined: a fault of the device. All failures of cryptography look the same. */
export function statusOf(error: unknown): number | undefined {
  if (error instanceof DeviceRefusal) return error.sw;
  if (!(error instanceof CodedError)) return undefined;
  if (CRYPTOGRAPHY.includes(error.code)) return SW.SECURITY_STATUS_NOT_SATISFIED;
  return FORMAT.includes(error.code) ? SW.WRONG_DATA : undefined;
}
