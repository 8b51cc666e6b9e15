/** Serial numbers of certificates. They print differently between runtimes, so they are compared in one form. */

/** One form for comparing: lower-case hex without leading zeros. */
export function normalSerial(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, "");
}
