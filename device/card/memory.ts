/** How much memory a card has left: packages by the size of their load files, applications by a round figure. */

import type { CardState } from "./state.ts";

/** Memory of one application, or of its saved data, in bytes: a round figure, more than the Recovery Key holds. */
export const APPLICATION_BYTES = 1024;

/** Bytes that are free; `Infinity` on a card without a limit. */
export function freeBytes(state: CardState): number {
  if (state.memoryBytes === null) return Infinity;
  const packages = state.packages.reduce((sum, { size }) => sum + size, 0);
  const applications = state.instances.length + (state.upgrade?.saved.length ?? 0);
  return state.memoryBytes - packages - applications * APPLICATION_BYTES;
}
