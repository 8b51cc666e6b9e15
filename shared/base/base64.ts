/** Base64 with padding (RFC 4648, section 4), one text for one value. */

/**
 * Reads standard Base64. Anything that another text also means is refused: white space, missing padding, bits behind the
 * last byte that are not zero, the URL alphabet.
 * @returns undefined when the text is not the one Base64 text of its bytes.
 */
export function fromStrictBase64(text: string): Uint8Array | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
    // The built-in reader skips white space: writing the bytes again shows it.
    return bytes.toBase64() === text ? bytes : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
