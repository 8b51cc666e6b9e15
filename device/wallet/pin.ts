/** PINs as people type them: 4 to 8 digits. The same rule for the wallet's own PIN and the card's. */

import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { PIN_LENGTH } from "shared/protocol/recovery_key/commands.ts";
import "./errors.ts";

const ZERO = 0x30;
const NINE = 0x39;

/**
 * Turns typed digits into the card's form, one byte of value 0 to 9 each.
 * @param typed ASCII; it stays with the caller.
 * @throws {CodedError} `WALLET_PIN_RULE`.
 */
export function readPin(typed: Secret): Secret {
  const bytes = typed.reveal();
  const sound = bytes.length >= PIN_LENGTH.min && bytes.length <= PIN_LENGTH.max &&
    bytes.every((byte) => byte >= ZERO && byte <= NINE);
  if (!sound) throw new CodedError("WALLET_PIN_RULE", "Cannot use PIN: it is not 4 to 8 digits");
  return new Secret(bytes.map((byte) => byte - ZERO));
}
