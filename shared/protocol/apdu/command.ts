/** Command APDUs, short and extended. ISO/IEC 7816-3, 12.1. */

import { concat, writeUint } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";

/** One command. `le` is the number of bytes expected, 1 to 65536; absent: no Le field. */
export interface CommandApdu {
  readonly cla: number;
  readonly ins: number;
  readonly p1: number;
  readonly p2: number;
  /** 0 to 65535 bytes; empty: no Lc field. */
  readonly data: Uint8Array;
  readonly le?: number;
}

/** Longest data field of a short APDU, in bytes. */
export const SHORT_DATA_MAX = 255;
/** Le of a short APDU that asks for all there is. */
export const SHORT_LE_MAX = 256;

const NO_DATA = new Uint8Array(0);

/** Makes a command without data unless given. */
export function command(
  cla: number,
  ins: number,
  p1: number,
  p2: number,
  data: Uint8Array = NO_DATA,
  le?: number,
): CommandApdu {
  return le === undefined ? { cla, ins, p1, p2, data } : { cla, ins, p1, p2, data, le };
}

/** Encodes; extended form only where data or Le needs it. @throws {CodedError} `APDU_RANGE`. */
export function encodeCommand(apdu: CommandApdu): Uint8Array {
  const { data, le } = apdu;
  if (data.length > 65535 || (le !== undefined && (le < 1 || le > 65536))) {
    throw new CodedError("APDU_RANGE", `Cannot write APDU: Lc ${data.length}, Le ${le}`);
  }
  const header = Uint8Array.of(apdu.cla, apdu.ins, apdu.p1, apdu.p2);
  if (data.length <= SHORT_DATA_MAX && (le ?? 0) <= SHORT_LE_MAX) {
    return concat(
      header,
      data.length > 0 ? concat(Uint8Array.of(data.length), data) : NO_DATA,
      le === undefined ? NO_DATA : Uint8Array.of(le % 256),
    );
  }
  return concat(
    header,
    Uint8Array.of(0),
    data.length > 0 ? concat(writeUint(data.length, 2), data) : NO_DATA,
    le === undefined ? NO_DATA : writeUint(le % 65536, 2),
  );
}

/** Decodes all seven cases. @throws {CodedError} `APDU_MALFORMED`. */
export function decodeCommand(bytes: Uint8Array): CommandApdu {
  const malformed = () => new CodedError("APDU_MALFORMED", `Cannot read APDU: ${bytes.length} bytes`);
  if (bytes.length < 4) throw malformed();
  const [cla, ins, p1, p2, b5 = 0, b6 = 0, b7 = 0] = bytes as unknown as [
    number,
    number,
    number,
    number,
    number?,
    number?,
    number?,
  ];
  const build = (data: Uint8Array, le?: number) => command(cla, ins, p1, p2, data, le);
  const n = bytes.length;
  if (n === 4) return build(NO_DATA);
  if (n === 5) return build(NO_DATA, b5 || 256);
  if (b5 !== 0) {
    if (n === 5 + b5) return build(bytes.slice(5));
    if (n === 6 + b5) return build(bytes.slice(5, 5 + b5), bytes[n - 1] || 256);
    throw malformed();
  }
  if (n < 7) throw malformed();
  const extended = b6 * 256 + b7;
  if (n === 7) return build(NO_DATA, extended || 65536);
  if (extended === 0) throw malformed();
  if (n === 7 + extended) return build(bytes.slice(7));
  if (n === 9 + extended) {
    return build(bytes.slice(7, 7 + extended), (bytes[n - 2]! * 256 + bytes[n - 1]!) || 65536);
  }
  throw malformed();
}

defineErrors({
  APDU_RANGE: { fault: "bug", retry: false, next: "Report it." },
  APDU_MALFORMED: {
    fault: "usage",
    retry: false,
    next: "Give CLA INS P1 P2, then Lc and data, then Le (ISO/IEC 7816-3, 12.1).",
  },
});
