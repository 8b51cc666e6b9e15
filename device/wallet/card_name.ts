/** Card names: UTF-8 of up to 32 bytes in the card, printable text here. A card can hold anything; a terminal must not see it. */

import { fromUtf8, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { CARD_NAME_MAX } from "shared/protocol/recovery_key/commands.ts";

/** Control, format, surrogate, private and unassigned characters, and line and paragraph separators. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;

/** Bytes of a name; an empty one erases. @throws {CodedError} `WALLET_CARD_NAME`. */
export function encodeCardName(name: string): Uint8Array {
  const bytes = toUtf8(name);
  if (bytes.length > CARD_NAME_MAX) {
    throw new CodedError(
      "WALLET_CARD_NAME",
      `Cannot use name: it has ${bytes.length} bytes, over ${CARD_NAME_MAX}`,
    );
  }
  if (UNPRINTABLE.test(name) || name !== name.trim()) {
    throw new CodedError("WALLET_CARD_NAME", "Cannot use name: it has characters that cannot be shown");
  }
  return bytes;
}

/** A name for people: its text where that can be shown, else its bytes as `hex:..`. */
export function showCardName(bytes: Uint8Array): string {
  try {
    const text = fromUtf8(bytes);
    if (!UNPRINTABLE.test(text) && text.trim() === text) return text;
  } catch {
    // Not UTF-8.
  }
  return `hex:${toHex(bytes)}`;
}

defineErrors({
  WALLET_CARD_NAME: {
    fault: "usage",
    retry: false,
    next: "Give up to 32 bytes of printable text; an empty name erases it.",
  },
});
