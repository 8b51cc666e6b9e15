/** Serial numbers of certificates. They print differently between runtimes, so they are compared in one form. */

/** One form for comparing: lower-case hex without leading zeros. */
export function normalSerial(hex: string): string {
  const lower = hex.toLowerCase();
  // Asked a hundred thousand times for a long list: nearly always there is nothing to cut off.
  return lower.startsWith("0") ? lower.replace(/^0+(?=.)/, "") : lower;
}
