/** Response APDUs. ISO/IEC 7816-3, 12.1. */

import { concat, writeUint } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";

/** One answer: data and status word. */
export interface ResponseApdu {
  readonly data: Uint8Array;
  /** SW1 SW2 as one number, `0x9000`. */
  readonly sw: number;
}

/** Makes an answer. */
export function response(sw: number, data: Uint8Array = new Uint8Array(0)): ResponseApdu {
  return { data, sw };
}

/** Data followed by the status word. */
export function encodeResponse(apdu: ResponseApdu): Uint8Array {
  return concat(apdu.data, writeUint(apdu.sw, 2));
}

/** Splits raw bytes into data and status word. @throws {CodedError} `APDU_NO_STATUS` when there are not even two bytes. */
export function decodeResponse(bytes: Uint8Array): ResponseApdu {
  if (bytes.length < 2) {
    throw new CodedError("APDU_NO_STATUS", `Cannot read answer: ${bytes.length} bytes, no status word`);
  }
  const end = bytes.length - 2;
  return { data: bytes.slice(0, end), sw: bytes[end]! * 256 + bytes[end + 1]! };
}

defineErrors({
  APDU_NO_STATUS: {
    fault: "card",
    retry: true,
    next: "The answer is no APDU: clean the contacts, present the card again, or try another reader.",
  },
});
