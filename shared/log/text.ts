/** Text as the C2SP formats need it: one text for one byte string, one decimal for one number. */

/** Largest tree size here. The texts allow 2^63 - 1; a JavaScript number is exact up to 2^53 - 1. */
export const SIZE_MAX = Number.MAX_SAFE_INTEGER;

/** A byte order mark is a character of the text, not a hint to skip: two byte strings must not be one text. */
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text of UTF-8 bytes, every one of them; undefined when they are not UTF-8. */
export function exactText(bytes: Uint8Array): string | undefined {
  try {
    return DECODER.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Reads a decimal of at most 2^53 - 1, without sign or leading zero; undefined for every other text. */
export function parseDecimal(text: string): number | undefined {
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= SIZE_MAX ? value : undefined;
}
