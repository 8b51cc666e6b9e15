/** A list of counted serials, as scanners and spreadsheets write it. */

import { CodedError, defineErrors } from "shared/base/errors.ts";

/** Longest list, in lines. */
export const COUNTED_MAX = 10_000_000;

/**
 * The serials of a list: the first cell of each line, 8 hexadecimal digits, `0x` before them or not, quoted or not. A header
 * line and empty lines are passed over; anything else is an error, for a count that loses a line is no count.
 * @throws {CodedError} `COUNTED_LIST` with the line.
 */
export function countedSerials(name: string, text: string): string[] {
  const serials: string[] = [];
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  if (lines.length > COUNTED_MAX) {
    throw new CodedError("COUNTED_LIST", `Cannot use ${name}: it has more than ${COUNTED_MAX} lines`);
  }
  for (const [index, line] of lines.entries()) {
    const cell = (line.split(/[,;\t]/, 1)[0] ?? "").trim().replace(/^"(.*)"$/, "$1").trim();
    if (cell === "" && line.trim() === "") continue;
    const serial = /^(?:0x)?([0-9A-Fa-f]{8})$/.exec(cell)?.[1];
    if (serial !== undefined) serials.push(serial.toUpperCase());
    else if (index > 0 || !/^[A-Za-z_ ]+$/.test(cell)) {
      throw new CodedError(
        "COUNTED_LIST",
        `Cannot use ${name}: line ${index + 1} does not begin with a serial`,
      );
    }
  }
  return serials;
}

defineErrors({
  COUNTED_LIST: {
    fault: "usage",
    retry: false,
    next: "Give one serial in each line, 8 hexadecimal digits, as first cell; a header line may come first.",
  },
});
