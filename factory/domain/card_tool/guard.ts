/** May keys be tried on this card? Cards count failed authentications and lock: after one, only when a person says so. */

import type { FailedAuthentication } from "../../transport/card_tool/port.ts";
import { CodedError } from "shared/base/errors.ts";
import { type Cplc, cplcChipId } from "shared/protocol/gp/cplc.ts";
import { toHex } from "shared/base/bytes.ts";
import "./errors.ts";

/** Outcome that is written before the card is asked. */
export const UNFINISHED = "UNFINISHED";

/**
 * What tells this chip from others: of CPLC the fields that personalizers do not change; else the key diversification data,
 * unless it is the same everywhere; else the answer to reset, which cards of one model share.
 */
export function chipIdentity(
  facts: { readonly cplc?: Cplc; readonly kdd?: Uint8Array; readonly atr: Uint8Array },
): string {
  if (facts.cplc !== undefined) return `cplc-${cplcChipId(facts.cplc)}`;
  if (facts.kdd?.some((byte) => byte !== 0)) return `kdd-${toHex(facts.kdd)}`;
  return `atr-${toHex(facts.atr)}`;
}

/** Refuses a card with a failure on record. @throws {CodedError} `CARDTOOL_GUARD`. */
export function checkGuard(record: FailedAuthentication | undefined, retry: boolean): void {
  if (record === undefined || retry) return;
  const what = record.outcome === UNFINISHED ? "did not finish" : `failed (${record.outcome})`;
  const version = record.keyVersion.toString(16).toUpperCase().padStart(2, "0");
  throw new CodedError(
    "CARDTOOL_GUARD",
    `Cannot try keys on this card: an authentication ${what} at ${record.time}, key version ${version}, ` +
      `ENC check value ${record.encCheckValue}`,
    { failure: record },
  );
}
